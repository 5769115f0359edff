import type { Metric } from "../../core/mod.ts";
import { checkBins, equalWidth } from "./bins.ts";

/** Options of the parts of the Brier score. */
export interface BrierPartOptions {
  /** Number of bins of equal width over [0, 1]. */
  readonly bins: number;
}

/**
 * Mean squared gap between P(correct) and label. scikit-learn's `brier_score_loss`. Unitless, in [0, 1]; always saying 0.5
 * earns 0.25.
 */
export const brier: Metric = {
  kind: "metric",
  name: "brier",
  version: 1,
  description: "Mean squared gap between P(correct) and label",
  better: "lower",
  defaults: {},
  compute({ pCorrect, correct, wrong, n }) {
    let total = 0;
    for (let i = 0; i < pCorrect.length; i++) {
      total += correct[i] * (1 - pCorrect[i]) ** 2 + wrong[i] * pCorrect[i] ** 2;
    }
    return total / n;
  },
};

/**
 * Murphy's reliability (J. Appl. Meteor. 12, 1973): mean squared gap between mean P(correct) and accuracy in bins of equal
 * width. Brier score = reliability − resolution + uncertainty, and what varies within the bins. In [0, 1].
 */
export const brierReliability: Metric<BrierPartOptions> = {
  kind: "metric",
  name: "brier-reliability",
  version: 1,
  description: "Murphy's reliability: squared gap between P(correct) and accuracy over 10 bins",
  better: "lower",
  defaults: { bins: 10 },
  compute(tally, { bins }) {
    checkBins(bins, "brier-reliability");
    const parts = equalWidth(tally, bins).map(({ n, confidence, correct }) =>
      (confidence - correct) ** 2 / n
    );
    return parts.reduce((sum, part) => sum + part, 0) / tally.n;
  },
};

/** Murphy's resolution: mean squared distance of the bins' accuracies from that of all answers. In [0, 0.25]. */
export const brierResolution: Metric<BrierPartOptions> = {
  kind: "metric",
  name: "brier-resolution",
  version: 1,
  description: "Murphy's resolution: how far accuracies lie apart over 10 bins of P(correct)",
  better: "higher",
  defaults: { bins: 10 },
  compute(tally, { bins }) {
    checkBins(bins, "brier-resolution");
    const base = tally.nCorrect / tally.n;
    const parts = equalWidth(tally, bins).map(({ n, correct }) => n * (correct / n - base) ** 2);
    return parts.reduce((sum, part) => sum + part, 0) / tally.n;
  },
};

/** Murphy's uncertainty: the variance of the labels, whatever the confidence. In [0, 0.25]. */
export const brierUncertainty: Metric = {
  kind: "metric",
  name: "brier-uncertainty",
  version: 1,
  description: "Murphy's uncertainty: variance of the labels, whatever P(correct)",
  better: "lower",
  defaults: {},
  compute: ({ n, nCorrect }) => nCorrect / n * (1 - nCorrect / n),
};
