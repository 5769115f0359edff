import type { StyleWording } from "../../../core/mod.ts";
import type { DatasetSpec } from "../spec.ts";

const INSTRUCTION =
  "Give ONLY the advice, no other words or explanation.\nFor example:\nAnswer: <advice, as short as " +
  "possible; a single sentence!>.";

const oe: StyleWording = {
  context: "Provide advice on how to accomplish the following goal.\nGoal: {question}",
  header: "The following are questions with answers.",
  instruction: `${INSTRUCTION}\n\n`,
};

const choice: StyleWording = {
  context: "Goal:\n{question}",
  header: "The following are questions with multiple-choice answers.",
};

/** PIQA (Bisk et al. 2020). Its test split has no answers. */
export const piqa: DatasetSpec = {
  name: "piqa",
  description: "PIQA: which of two ways reaches a goal in the physical world?",
  home: "https://huggingface.co/datasets/ybisk/piqa",
  licence: "unknown",
  source: { repo: "ybisk/piqa" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 16_113, validation: 1838 },
  shots: "train",
  fields: { question: "goal", choices: ["sol1", "sol2"], answer: { column: "label", form: "index" } },
  wording: { choice, oe },
  mends: ["the instruction in front of a question stands apart from it"],
  // The research code glues the instruction to the question.
  seed: { wording: { choice, oe: { ...oe, instruction: INSTRUCTION } } },
};
