import type { DatasetSpec } from "../spec.ts";

/** BoolQ (Clark et al. 2019). */
export const boolq: DatasetSpec = {
  name: "boolq",
  description: "BoolQ: yes-or-no questions about a passage of Wikipedia",
  home: "https://huggingface.co/datasets/google/boolq",
  licence: "CC-BY-SA-3.0",
  source: { repo: "google/boolq" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 9427, validation: 3270 },
  shots: "train",
  fields: {
    passage: "passage",
    question: "question",
    choices: ["=False", "=True"],
    answer: { column: "answer", form: "boolean" },
  },
  wording: {
    choice: {
      context: "Passage:\n{passage}\n\nQuestion:\n{question}",
      header: "The following are comprehension passages (with multiple-choice answers).",
      tail: "Now, answer the following.",
    },
    oe: {
      context:
        'Read the following passage and answer the question. Respond with only "True" or "False" and no additional ' +
        "text.\nPassage: {passage}\nQuestion: {question}?",
      header: "The following are comprehension passages (with answers).",
      tail: "Now, answer the following.",
    },
  },
};
