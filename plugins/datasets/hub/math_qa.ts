import { dataError } from "../../../core/mod.ts";
import type { DataRow } from "../source.ts";
import { type Asked, type DatasetSpec, text } from "../spec.ts";

/** MathQA (Amini et al. 2019). */
export const mathQa: DatasetSpec = {
  name: "math_qa",
  description: "MathQA: word problems with five choices",
  home: "https://huggingface.co/datasets/allenai/math_qa",
  licence: "Apache-2.0",
  source: { repo: "allenai/math_qa" },
  splits: { train: "train", validation: "validation", test: "test" },
  rows: { train: 29_837, validation: 4475, test: 2985 },
  shots: "train",
  fields: (row) => asked(row, text(row, "options").split(/(?:^|,)\s*[a-e]\s*\)/).slice(1)),
  distinctChoices: true,
  wording: {
    choice: {
      context: "Problem:\n{question}",
      header: "The following are math questions (with multiple-choice answers).",
    },
    oe: {
      context: "Provide your best answer for the following math problem.\nProblem: {question}",
      header: "The following are math questions (with answers).",
    },
  },
  mends: ["splits its options at their letters, not at the comma of a number"],
  // The research code splits at every comma, also at that of "1,000".
  seed: {
    fields: (row) => asked(row, text(row, "options").split(",").map((part) => part.split(")").at(-1)!)),
  },
};

function asked(row: DataRow, options: readonly string[]): Asked {
  const correct = text(row, "correct"), answer = correct.charCodeAt(0) - 97;
  if (!/^[a-e]$/.test(correct) || answer >= options.length) {
    throw dataError(
      `Column "correct" is "${correct}"`,
      row.where,
      `it must name one of ${options.length} choices`,
    );
  }
  return { question: text(row, "Problem"), choices: options.map((option) => option.trim()), answer };
}
