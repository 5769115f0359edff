import type { Metric } from "../../core/mod.ts";

/**
 * Area under precision by recall as average precision, scikit-learn's `average_precision_score`: answers of equal
 * confidence are counted together, and nothing is interpolated.
 *
 * @param found answers to be found at each confidence, the surest first
 * @param others those that are not
 */
function averagePrecision(found: Float64Array, others: Float64Array, total: number): number {
  let area = 0, foundSoFar = 0, all = 0;
  for (let i = 0; i < found.length; i++) {
    foundSoFar += found[i];
    all += found[i] + others[i];
    area += found[i] / total * (foundSoFar / all);
  }
  return area;
}

/**
 * How well high P(correct) finds the correct answers: average precision. Unitless, in (0, 1]; chance is the accuracy.
 * Undefined where no answer is correct.
 */
export const auprcCorrect: Metric = {
  kind: "metric",
  name: "auprc-correct",
  version: 1,
  description: "Average precision of finding correct answers by high P(correct)",
  better: "higher",
  defaults: {},
  compute({ correct, wrong, n, nCorrect }) {
    if (nCorrect === 0) throw new RangeError(`AUPRC is undefined: none of ${n} answers is correct`);
    return averagePrecision(correct.toReversed(), wrong.toReversed(), nCorrect);
  },
};

/**
 * How well low P(correct) finds the wrong answers: average precision. Unitless, in (0, 1]; chance is the share of wrong
 * answers. Undefined where no answer is wrong.
 */
export const auprcWrong: Metric = {
  kind: "metric",
  name: "auprc-wrong",
  version: 1,
  description: "Average precision of finding wrong answers by low P(correct)",
  better: "higher",
  defaults: {},
  compute({ correct, wrong, n, nCorrect }) {
    if (nCorrect === n) throw new RangeError(`AUPRC is undefined: none of ${n} answers is wrong`);
    return averagePrecision(wrong, correct, n - nCorrect);
  },
};
