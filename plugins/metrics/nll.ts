import type { Metric } from "../../core/mod.ts";

/** Confidences are kept this far from 0 and 1, so that one certain error does not make the mean infinite. */
const FLOOR = Number.EPSILON;

/**
 * Mean negative log-likelihood of the labels under P(correct), in nats; always saying 0.5 earns log 2. scikit-learn's
 * `log_loss`: a certain error costs 36 nats.
 */
export const nll: Metric = {
  kind: "metric",
  name: "nll",
  version: 2,
  description: "Mean negative log-likelihood of the labels under P(correct), in nats",
  better: "lower",
  defaults: {},
  compute({ pCorrect, correct, wrong, n }) {
    let total = 0;
    for (let i = 0; i < pCorrect.length; i++) {
      const p = Math.min(1 - FLOOR, Math.max(FLOOR, pCorrect[i]));
      if (correct[i] > 0) total -= correct[i] * Math.log(p);
      if (wrong[i] > 0) total -= wrong[i] * Math.log(1 - p);
    }
    return total / n;
  },
};
