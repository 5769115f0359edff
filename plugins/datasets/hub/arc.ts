import type { DatasetSpec } from "../spec.ts";

const common: Omit<DatasetSpec, "name" | "description" | "source"> = {
  home: "https://huggingface.co/datasets/allenai/ai2_arc",
  licence: "CC-BY-SA-4.0",
  splits: { train: "train", validation: "validation", test: "test" },
  shots: "train",
  fields: {
    question: "question",
    choices: "choices.text",
    answer: { column: "answerKey", form: "letter" },
  },
  wording: {
    choice: {
      header: "The following are questions (with multiple-choice answers).",
      tail: "Now, answer the following.",
    },
    oe: { context: "The question is: {question}", tail: "Now, answer the following." },
  },
};

/** The AI2 Reasoning Challenge (Clark et al. 2018): its easy and its hard part. */
export const arc: readonly DatasetSpec[] = [
  {
    ...common,
    name: "arc",
    description: "AI2 Reasoning Challenge, the easy part: science questions of US schools",
    source: { repo: "allenai/ai2_arc", config: "ARC-Easy" },
    rows: { train: 2251, validation: 570, test: 2376 },
  },
  {
    ...common,
    name: "arc_challenge",
    description: "AI2 Reasoning Challenge, the hard part: science questions of US schools",
    source: { repo: "allenai/ai2_arc", config: "ARC-Challenge" },
    rows: { train: 1119, validation: 299, test: 1172 },
  },
];
