import type { Dataset, Question, Split } from "@credence/credence";

const COLOURS: Readonly<Record<Split, readonly (readonly [thing: string, colour: string])[]>> = {
  train: [["snow", "white"], ["coal", "black"], ["grass", "green"]],
  validation: [["a ruby", "red"]],
  test: [["the sky", "blue"], ["a lemon", "yellow"]],
};

/** What colour things have. */
export const colours: Dataset = {
  kind: "dataset",
  name: "acme/colours",
  version: 1,
  description: "What colour things have",
  defaults: {},
  tags: ["train", "eval"],
  splits: ["train", "validation", "test"],
  async *read(split) {
    yield* await Promise.resolve(questions(split));
  },
  shotPool: () => Promise.resolve(questions("train")),
  revision: () => Promise.resolve("1"),
};

function questions(split: Split): Question[] {
  return COLOURS[split].map(([thing, answer], index) => ({
    id: `${split}/${index}`,
    split,
    question: `What colour has ${thing}?`,
    answer,
  }));
}
