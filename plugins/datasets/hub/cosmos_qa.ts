import type { DatasetSpec } from "../spec.ts";

/** Cosmos QA (Huang et al. 2019). */
export const cosmosQa: DatasetSpec = {
  name: "cosmos_qa",
  description: "Cosmos QA: what a paragraph about everyday life leaves unsaid",
  home: "https://huggingface.co/datasets/allenai/cosmos_qa",
  licence: "CC-BY-4.0",
  source: { repo: "allenai/cosmos_qa" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 25_262, validation: 2985 },
  shots: "train",
  fields: {
    passage: "context",
    question: "question",
    choices: ["answer0", "answer1", "answer2", "answer3"],
    answer: { column: "label", form: "index" },
  },
  wording: {
    choice: {
      context: "Context:\n{passage}\n\nQuestion:\n{question}",
      header: "The following are some contexts and questions (with multiple-choice answers).",
      tail: "Now, answer the following.",
    },
    oe: {
      context:
        "Read the following paragraph and answer the question.\nParagraph: {passage}\nQuestion: {question}",
      header: "The following are some contexts and questions (with answers).",
      tail: "Now, answer the following.",
    },
  },
};
