import type { DatasetSpec } from "../spec.ts";

/** OpenBookQA (Mihaylov et al. 2018), without its book of facts. */
export const obqa: DatasetSpec = {
  name: "obqa",
  description: "OpenBookQA: science questions of elementary schools",
  home: "https://huggingface.co/datasets/allenai/openbookqa",
  licence: "unknown",
  source: { repo: "allenai/openbookqa", config: "main" },
  splits: { train: "train", validation: "validation", test: "test" },
  rows: { train: 4957, validation: 500, test: 500 },
  shots: "train",
  fields: {
    question: "question_stem",
    choices: "choices.text",
    answer: { column: "answerKey", form: "letter" },
  },
  wording: {
    choice: { header: "The following are questions with multiple-choice answers." },
    oe: {
      context: "Provide your best answer for the following question.\nQuestion: {question}",
      header: "The following are questions with answers.",
    },
  },
};
