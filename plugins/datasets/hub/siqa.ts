import type { StyleWording } from "../../../core/mod.ts";
import type { DatasetSpec } from "../spec.ts";

const INSTRUCTION =
  "Give ONLY the answer, no other words or explanation.\nFor example:\nAnswer: <most likely answer, " +
  "as short as possible>.";

const oe: StyleWording = {
  context:
    "Read the following paragraph and answer the question.\nParagraph: {passage}\nQuestion: {question}",
  header: "The following are social interaction questions with answers.",
  instruction: `${INSTRUCTION}\n\n`,
};

const choice: StyleWording = {
  context: "Context:\n{passage}\n\nQuestion:\n{question}",
  header: "The following are social interaction questions with multiple-choice answers.",
};

/** Social IQa (Sap et al. 2019). */
export const siqa: DatasetSpec = {
  name: "siqa",
  description: "Social IQa: why people do what they do, and what follows",
  home: "https://huggingface.co/datasets/allenai/social_i_qa",
  licence: "unknown",
  source: { repo: "allenai/social_i_qa" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 33_410, validation: 1954 },
  shots: "train",
  fields: {
    passage: "context",
    question: "question",
    choices: ["answerA", "answerB", "answerC"],
    answer: { column: "label", form: "number" },
  },
  distinctChoices: true,
  wording: { choice, oe },
  mends: ["the instruction in front of a question stands apart from it"],
  // The research code glues the instruction to the question.
  seed: { wording: { choice, oe: { ...oe, instruction: INSTRUCTION } } },
};
