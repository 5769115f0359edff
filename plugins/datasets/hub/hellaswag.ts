import { column, type DatasetSpec, text } from "../spec.ts";

/** HellaSwag (Zellers et al. 2019). Its test split has no answers. */
export const hellaswag: DatasetSpec = {
  name: "hellaswag",
  description: "HellaSwag: how does a description of an activity go on?",
  home: "https://huggingface.co/datasets/Rowan/hellaswag",
  licence: "MIT",
  source: { repo: "Rowan/hellaswag" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 39_905, validation: 10_042 },
  shots: "train",
  fields: { question: "ctx", choices: "endings", answer: { column: "label", form: "index" } },
  wording: {
    choice: {
      context: "Context:\n{question}",
      header: "The following are some context completions (with multiple-choice answers).",
      tail: "Now, answer the following.",
    },
    oe: {
      context: "Complete the ending for the following paragraph.\n{question}",
      targetPrompt: "\nEnding:",
      header: "The following are some context completions (with answers).",
      tail: "Now, answer the following.",
    },
  },
  mends: ["shows its text once instead of twice"],
  // The research code shows the text twice: whole, and in its two parts.
  seed: {
    fields: (row) => ({
      question: ["ctx", "ctx_a", "ctx_b"].map((path) => text(row, path)).join(" "),
      choices: column(row.values, "endings", row.where) as string[],
      answer: Number(text(row, "label")),
    }),
  },
};
