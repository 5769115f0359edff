import type { Metric } from "../../core/mod.ts";

/** Confidences are kept this far from 0 and 1, so that one certain error does not make the mean infinite. */
const FLOOR = 1e-12;

/** Mean negative log-likelihood of the labels under P(correct), in nats; always saying 0.5 earns log 2. */
export const nll: Metric = {
  kind: "metric",
  name: "nll",
  version: 1,
  description: "Mean negative log-likelihood of the labels, in nats",
  better: "lower",
  defaults: {},
  compute(pairs) {
    const total = pairs.reduce((sum, { label, pCorrect }) => {
      const p = Math.min(1 - FLOOR, Math.max(FLOOR, pCorrect));
      return sum - Math.log(label === 1 ? p : 1 - p);
    }, 0);
    return total / pairs.length;
  },
};
