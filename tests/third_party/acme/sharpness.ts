import type { Metric } from "@credence/credence";

/** Mean distance of P(correct) from one half, doubled: 0 never commits itself, 1 is always certain. */
export const sharpness: Metric = {
  kind: "metric",
  name: "acme/sharpness",
  version: 1,
  description: "How far confidences are from one half",
  better: "higher",
  defaults: {},
  compute({ pCorrect, correct, wrong, n }) {
    let sum = 0;
    pCorrect.forEach((p, i) => sum += (correct[i] + wrong[i]) * Math.abs(2 * p - 1));
    return sum / n;
  },
};
