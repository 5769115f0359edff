import type { StyleWording } from "../../../core/mod.ts";
import type { DataRow } from "../source.ts";
import { type Asked, type DatasetSpec, text } from "../spec.ts";

const INSTRUCTION =
  "Give ONLY the answer, no other words or explanation.\n\nFor example:\nAnswer: <most likely answer, " +
  "as short as possible>.";

const oe: StyleWording = {
  context: "Read the following and answer the question.\n{line}Question: {question}",
  header: "The following are science exam questions with answers.",
  instruction: `${INSTRUCTION}\n\n`,
};

const choice: StyleWording = {
  context: "{block}Question:\n{question}",
  header: "The following are science exam questions with multiple-choice answers.",
};

/** SciQ (Welbl et al. 2017). */
export const sciq: DatasetSpec = {
  name: "sciq",
  description: "SciQ: science exam questions with a text that supports the answer",
  home: "https://huggingface.co/datasets/allenai/sciq",
  licence: "CC-BY-NC-3.0",
  source: { repo: "allenai/sciq" },
  splits: { train: "train", validation: "validation", test: "test" },
  rows: { train: 11_679, validation: 1000, test: 1000 },
  shots: "train",
  fields: (row) => asked(row, ""),
  distinctChoices: true,
  shuffled: true,
  wording: { choice, oe },
  mends: [
    "the instruction in front of a question stands apart from it",
    "no empty line where there is no support",
  ],
  // The research code glues the instruction to the question, and leaves an empty line where there is no support.
  seed: {
    fields: (row) => asked(row, "\n"),
    wording: { choice, oe: { ...oe, instruction: INSTRUCTION } },
  },
};

/** Some questions have no text that supports them. */
function asked(row: DataRow, without: string): Asked {
  const support = text(row, "support");
  return {
    question: text(row, "question"),
    texts: {
      block: support === "" ? without : `Support:\n${support}\n\n`,
      line: support === "" ? "" : `${support}\n`,
    },
    choices: ["distractor1", "distractor2", "distractor3", "correct_answer"].map((path) => text(row, path)),
    answer: 3,
  };
}
