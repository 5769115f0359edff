import type { Labeler } from "../../core/mod.ts";

/** 1 when the answer contains the target, in the same case. Never undecided. */
export const substring: Labeler = {
  kind: "labeler",
  name: "substring",
  version: 1,
  description: "1 when the answer contains the target, in the same case",
  defaults: {},
  label: ({ target, answer }) => answer.includes(target) ? 1 : 0,
};
