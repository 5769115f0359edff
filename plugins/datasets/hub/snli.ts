import type { DatasetSpec } from "../spec.ts";

/** Columns of SNLI and its like. */
export const NLI_FIELDS: DatasetSpec["fields"] = {
  passage: "premise",
  question: "hypothesis",
  choices: ["=Yes", "=It's impossible to say", "=No"],
  answer: { column: "label", form: "index" },
};

/** Rows on which annotators agreed; the others have the label -1. */
export const NLI_LABELLED: DatasetSpec["keep"] = { column: "label", values: [0, 1, 2] };

/** Wording of SNLI and its like. */
export const NLI_WORDING: DatasetSpec["wording"] = {
  choice: {
    context: "Premise:\n{passage}\n\nHypothesis:\n{question}",
    header: "The following are questions (with multiple-choice answers) about entailment.",
    tail: "Now, answer the following.",
  },
  oe: {
    context:
      'Read the following premise and answer if the hypothesis is true. Respond with only "Yes", "No", or ' +
      '"It\'s impossible to say" answer and no additional text.\n{passage}\nHypothesis: {question}',
    header: "The following are questions (with premise, hypothesis, and answers) about entailment.",
    tail: "Now, answer the following.",
  },
};

/** Stanford Natural Language Inference (Bowman et al. 2015). */
export const snli: DatasetSpec = {
  name: "snli",
  description: "Stanford NLI: does a caption entail another?",
  home: "https://huggingface.co/datasets/stanfordnlp/snli",
  licence: "CC-BY-SA-4.0",
  source: { repo: "stanfordnlp/snli" },
  splits: { train: "train", validation: "validation", test: "test" },
  rows: { train: 550_152, validation: 10_000, test: 10_000 },
  shots: "train",
  fields: NLI_FIELDS,
  keep: NLI_LABELLED,
  wording: NLI_WORDING,
};
