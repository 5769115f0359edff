import type { Metric } from "../../core/mod.ts";

/** Share of answers that are correct. About the answers, not the confidence. Unitless, in [0, 1]. */
export const accuracy: Metric = {
  kind: "metric",
  name: "accuracy",
  version: 1,
  description: "Share of answers that are correct",
  better: "higher",
  defaults: {},
  compute: ({ n, nCorrect }) => nCorrect / n,
};

/**
 * Share of answers that are judged rightly when those with P(correct) above 0.5 are taken to be correct: the research
 * code's `unc_acc`. Exactly 0.5 says "wrong", as there. Unitless, in [0, 1].
 */
export const uncAccuracy: Metric = {
  kind: "metric",
  name: "unc-accuracy",
  version: 1,
  description: "Share of answers that P(correct) above 0.5 or not judges rightly",
  better: "higher",
  defaults: {},
  compute({ pCorrect, correct, wrong, n }) {
    let right = 0;
    for (let i = 0; i < pCorrect.length; i++) right += pCorrect[i] > 0.5 ? correct[i] : wrong[i];
    return right / n;
  },
};
