import type { Metric } from "../../core/mod.ts";

/** Share of answers that are correct. About the answers, not the confidence. Unitless, in [0, 1]. */
export const accuracy: Metric = {
  kind: "metric",
  name: "accuracy",
  version: 1,
  description: "Share of answers that are correct",
  better: "higher",
  defaults: {},
  compute: (pairs) => pairs.reduce((sum, { label }) => sum + label, 0) / pairs.length,
};
