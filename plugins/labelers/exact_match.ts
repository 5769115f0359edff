import type { Labeler } from "../../core/mod.ts";
import { normalise } from "./normalise.ts";

/** 1 when answer and target are the same but for case, punctuation, articles and spaces; see docs/labels.md. */
export const exactMatch: Labeler = {
  kind: "labeler",
  name: "exact-match",
  version: 1,
  description: "1 when answer and target are the same but for case, punctuation and articles (SQuAD)",
  defaults: {},
  label: ({ target, answer }) => normalise(answer) === normalise(target) ? 1 : 0,
};
