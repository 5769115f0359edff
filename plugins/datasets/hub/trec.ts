import type { StyleWording } from "../../../core/mod.ts";
import type { DatasetSpec } from "../spec.ts";

const oe: StyleWording = {
  context:
    "Read the following question and then pick a category that describes the question.\nQuestion: {question}\n" +
    "What category is the question in? Choose one from Abbreviation, Entity, Description and abstract concept, Human " +
    "being, Location, Numeric value. Respond with only the category and no additional text.",
  header: "The following are questions with answers.",
};

const choice: StyleWording = { header: "The following are questions with multiple-choice answers." };

/** TREC (Li and Roth 2002). */
export const trec: DatasetSpec = {
  name: "trec",
  description: "TREC: which of six kinds of thing does a question ask for?",
  home: "https://huggingface.co/datasets/CogComp/trec",
  licence: "unknown",
  source: { repo: "CogComp/trec" },
  splits: { train: "train", test: "test" },
  rows: { train: 5452, test: 500 },
  shots: "train",
  fields: {
    question: "text",
    choices: [
      "=Abbreviation",
      "=Entity",
      "=Description and abstract concept",
      "=Human being",
      "=Location",
      "=Numeric value",
    ],
    answer: { column: "coarse_label", form: "index" },
  },
  wording: { choice, oe },
  mends: ["a blank line between worked examples and question"],
  // The research code leaves out the blank line in front of the question.
  seed: { wording: { choice, oe: { ...oe, separator: "" } } },
};
