import type { DataRow } from "../source.ts";
import { answerOf as readAnswer, type Asked, type DatasetSpec, text } from "../spec.ts";

const SENTENCES = [1, 2, 3, 4];

/** The columns of the file that is given out, and those that `datasets` of Python made of them. */
const GIVEN_OUT = {
  sentences: SENTENCES.map((number) => `InputSentence${number}`),
  endings: ["RandomFifthSentenceQuiz1", "RandomFifthSentenceQuiz2"],
  answer: "AnswerRightEnding",
};
const RENAMED = {
  sentences: SENTENCES.map((number) => `input_sentence_${number}`),
  endings: ["sentence_quiz1", "sentence_quiz2"],
  answer: "answer_right_ending",
};

function asked(row: DataRow): Asked {
  const { sentences, endings, answer } = GIVEN_OUT.answer in row.values ? GIVEN_OUT : RENAMED;
  return {
    question: sentences.map((name) => text(row, name)).join(" "),
    choices: endings.map((name) => text(row, name)),
    answer: readAnswer(row, { column: answer, form: "number" }, endings.length),
  };
}

/** Story Cloze, winter 2018 (Mostafazadeh et al. 2016). It is given out on request only. */
export const storyCloze: DatasetSpec = {
  name: "story_cloze",
  description: "Story Cloze 2018: which ending fits a story of four sentences?",
  home: "https://cs.rochester.edu/nlp/rocstories/",
  licence: "on request",
  source: { repo: "LSDSem/story_cloze", config: "2018" },
  splits: { validation: "validation" },
  rows: { validation: 1571 },
  shots: "validation",
  manual: {
    folder: "story_cloze/2018",
    file: "cloze_test_val__winter2018-cloze_test_ALL_val - 1 - 1.csv",
    begins: "cloze_test_val__winter2018",
    page: "https://cs.rochester.edu/nlp/rocstories/",
    columns: [...GIVEN_OUT.sentences, ...GIVEN_OUT.endings, GIVEN_OUT.answer],
  },
  fields: asked,
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
