import type { Metric } from "../../core/mod.ts";

/** Mean squared gap between P(correct) and label. Unitless, in [0, 1]; always saying 0.5 earns 0.25. */
export const brier: Metric = {
  kind: "metric",
  name: "brier",
  version: 1,
  description: "Mean squared gap between P(correct) and label",
  better: "lower",
  defaults: {},
  compute: (pairs) =>
    pairs.reduce((sum, { label, pCorrect }) => sum + (pCorrect - label) ** 2, 0) / pairs.length,
};
