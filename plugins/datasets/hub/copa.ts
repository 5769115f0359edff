import { answerOf as readAnswer, type DatasetSpec, text } from "../spec.ts";

const TAIL = "Now, answer the following.";

/** Choice of Plausible Alternatives (Roemmele et al. 2011), as SuperGLUE has it. */
export const copa: DatasetSpec = {
  name: "copa",
  description: "COPA: which of two sentences is the cause or the effect of another?",
  home: "https://huggingface.co/datasets/aps/super_glue",
  licence: "unknown",
  source: { repo: "aps/super_glue", config: "copa" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 400, validation: 100 },
  shots: "train",
  fields: (row) => ({
    passage: text(row, "premise"),
    question: text(row, "question") === "cause"
      ? "What was the cause of this?"
      : "What happened as a result?",
    choices: [text(row, "choice1"), text(row, "choice2")],
    answer: readAnswer(row, { column: "label", form: "index" }, 2),
  }),
  wording: {
    choice: {
      context: "Premise:\n{passage}\n\nQuestion:\n{question}",
      header: "The following are questions (with multiple-choice answers).",
      tail: TAIL,
    },
    oe: {
      context:
        'Read the following premise and pick the correct choice. Respond only with "1" or "2" and no ' +
        "additional text.\nPremise: {passage}\nQuestion: {question}\n  Choice 1: {choice1}\n  Choice 2: {choice2}",
      tail: TAIL,
      numbered: true,
    },
  },
  mends: ["says whether the cause or the effect is asked for"],
  // The research code never shows whether the cause or the effect is asked for.
  seed: {
    wording: {
      choice: {
        context: "Premise:\n{passage}",
        header: "The following are questions (with multiple-choice answers).",
        tail: TAIL,
      },
      oe: {
        context:
          'Read the following premise and pick the correct choice. Respond only with "1" or "2" and no ' +
          "additional text.\nPremise: {passage}\n  Choice 1: {choice1}\n  Choice 2: {choice2}",
        tail: TAIL,
        numbered: true,
      },
    },
  },
};
