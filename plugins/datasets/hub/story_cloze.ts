import { answerOf as readAnswer, type DatasetSpec, text } from "../spec.ts";

/** Story Cloze, winter 2018 (Mostafazadeh et al. 2016). It is given out on request only. */
export const storyCloze: DatasetSpec = {
  name: "story_cloze",
  description: "Story Cloze 2018: which ending fits a story of four sentences?",
  home: "https://cs.rochester.edu/nlp/rocstories/",
  licence: "on request",
  source: { repo: "LSDSem/story_cloze", config: "2018" },
  splits: { validation: "validation" },
  shots: "validation",
  fields: (row) => ({
    question: [1, 2, 3, 4].map((number) => text(row, `input_sentence_${number}`)).join(" "),
    choices: [text(row, "sentence_quiz1"), text(row, "sentence_quiz2")],
    answer: readAnswer(row, { column: "answer_right_ending", form: "number" }, 2),
  }),
  wording: {
    choice: {
      context: "Story:\n{question}",
      header: "The following are stories with endings (multiple-choice).",
      tail: "Now, complete the next story.",
    },
    oe: {
      context: "Complete the ending of the following story.\n{question}",
      targetPrompt: "\nEnding:",
      header: "The following are stories (with endings).",
      tail: "Now, complete the next story.",
    },
  },
};
