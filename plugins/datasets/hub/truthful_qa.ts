import type { DatasetSpec } from "../spec.ts";

/** TruthfulQA (Lin et al. 2022), its questions with one right choice. */
export const truthfulQa: DatasetSpec = {
  name: "truthful_qa",
  description: "TruthfulQA: questions that many people answer wrongly",
  home: "https://huggingface.co/datasets/truthfulqa/truthful_qa",
  licence: "Apache-2.0",
  source: { repo: "truthfulqa/truthful_qa", config: "multiple_choice" },
  splits: { validation: "validation" },
  rows: { validation: 817 },
  shots: "validation",
  fields: {
    question: "question",
    choices: "mc1_targets.choices",
    answer: { column: "mc1_targets.labels", form: "one-hot" },
  },
  // In the source the right choice is always the first.
  shuffled: true,
  wording: {
    choice: { header: "The following are questions with multiple-choice answers." },
    oe: { context: "Question: {question}", header: "The following are questions with answers." },
  },
  mends: ["choices in random order, the same in every run: in the source the right one is always the first"],
  seed: { shuffled: false },
};
