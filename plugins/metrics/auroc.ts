import type { Metric } from "../../core/mod.ts";

/**
 * Probability that a correct answer has a higher P(correct) than a wrong one; ties count half. scikit-learn's
 * `roc_auc_score`. Unitless, in [0, 1]; 0.5 is chance. Undefined where all answers are correct or all are wrong.
 */
export const auroc: Metric = {
  kind: "metric",
  name: "auroc",
  version: 1,
  description: "Probability that a correct answer has a higher P(correct) than a wrong one",
  better: "higher",
  defaults: {},
  compute({ correct, wrong, n, nCorrect }) {
    if (nCorrect === 0 || nCorrect === n) {
      throw new RangeError(
        `AUROC is undefined: all ${n} answers are ${nCorrect === 0 ? "wrong" : "correct"}`,
      );
    }
    let won = 0, below = 0;
    for (let i = 0; i < correct.length; i++) {
      won += correct[i] * (below + wrong[i] / 2);
      below += wrong[i];
    }
    return won / (nCorrect * (n - nCorrect));
  },
};
