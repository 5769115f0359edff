import type { DatasetSpec } from "../spec.ts";

/** The Winograd Schema Challenge (Levesque et al. 2012), 285 schemas. */
export const wsc: DatasetSpec = {
  name: "wsc",
  description: "Winograd Schema Challenge: what does a pronoun stand for?",
  home: "https://huggingface.co/datasets/ErnestSDavis/winograd_wsc",
  licence: "CC-BY-4.0",
  source: { repo: "ErnestSDavis/winograd_wsc", config: "wsc285" },
  splits: { test: "test" },
  rows: { test: 285 },
  shots: "test",
  fields: { question: "text", choices: "options", answer: { column: "label", form: "index" } },
  wording: {
    choice: {
      context: "Sentence:\n{question}",
      header: "The following are ambiguous sentences (with answer choices).",
      tail: "Now, resolve the next ambiguity.",
    },
    oe: {
      context: "Read the following sentence, and resolve the ambiguity.\n{question}",
      header: "The following are ambiguous sentences (with answers).",
      tail: "Now, resolve the next ambiguity.",
    },
  },
};
