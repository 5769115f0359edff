import { column, type DatasetSpec, text } from "../spec.ts";

/** CommonsenseQA (Talmor et al. 2019). Its test split has no answers. */
export const commonsenseQa: DatasetSpec = {
  name: "commonsense_qa",
  description: "CommonsenseQA: everyday questions with five choices",
  home: "https://huggingface.co/datasets/tau/commonsense_qa",
  licence: "MIT",
  source: { repo: "tau/commonsense_qa" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 9741, validation: 1221 },
  shots: "train",
  fields: {
    question: "question",
    choices: "choices.text",
    answer: { column: "answerKey", form: "letter" },
  },
  distinctChoices: true,
  wording: {
    choice: {
      header: "The following are questions (with multiple-choice answers).",
      tail: "Now, answer the following.",
    },
    oe: { context: "Question: {question}", tail: "Now, answer the following." },
  },
  mends: ["the test split, whose answers are withheld, is left out"],
  // The research code reads an absent answer as the first choice.
  seed: {
    splits: { train: "train", validation: "validation", test: "test" },
    fields: (row) => ({
      question: text(row, "question"),
      choices: column(row.values, "choices.text", row.where) as string[],
      answer: Math.max(0, text(row, "answerKey").charCodeAt(0) - 65) || 0,
    }),
  },
};
