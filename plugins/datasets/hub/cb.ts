import type { DatasetSpec } from "../spec.ts";

/** CommitmentBank (de Marneffe et al. 2019), as SuperGLUE has it. */
export const cb: DatasetSpec = {
  name: "cb",
  description: "CommitmentBank: does a text commit its speaker to a clause?",
  home: "https://huggingface.co/datasets/aps/super_glue",
  licence: "unknown",
  source: { repo: "aps/super_glue", config: "cb" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 250, validation: 56 },
  shots: "train",
  fields: {
    passage: "premise",
    question: "hypothesis",
    choices: ["=Yes", "=No", "=It's impossible to say"],
    answer: { column: "label", form: "index" },
  },
  wording: {
    choice: {
      context: "Premise:\n{passage}\n\nHypothesis:\n{question}",
      header: "The following are questions (with premise, hypothesis, and answers) about entailment.",
      tail: "Now, answer the following.",
    },
    oe: {
      context: "Read the following premise and answer if the hypothesis is true. Respond only with " +
        '"Yes", "No", or "It\'s impossible to say" and no additional text.\n{passage}\nHypothesis: {question}.',
      header: "The following are questions (with premise, hypothesis, and answers) about entailment.",
      tail: "Now, answer the following.",
    },
  },
};
