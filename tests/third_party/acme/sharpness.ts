import type { Metric } from "@credence/credence";

/** Mean distance of P(correct) from one half, doubled: 0 never commits itself, 1 is always certain. */
export const sharpness: Metric = {
  kind: "metric",
  name: "acme/sharpness",
  version: 1,
  description: "How far confidences are from one half",
  better: "higher",
  defaults: {},
  compute: (pairs) => pairs.reduce((sum, { pCorrect }) => sum + Math.abs(2 * pCorrect - 1), 0) / pairs.length,
};
