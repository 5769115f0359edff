import type { Metric } from "../../core/mod.ts";

/**
 * Probability that a correct answer has a higher P(correct) than a wrong one; ties count half. Unitless, in [0, 1];
 * 0.5 is chance. Undefined where all answers are correct or all are wrong.
 */
export const auroc: Metric = {
  kind: "metric",
  name: "auroc",
  version: 1,
  description: "Probability that a correct answer has a higher P(correct) than a wrong one",
  better: "higher",
  defaults: {},
  compute(pairs) {
    const sorted = pairs.toSorted((a, b) => a.pCorrect - b.pCorrect);
    const positives = pairs.reduce((sum, { label }) => sum + label, 0);
    const negatives = pairs.length - positives;
    if (positives === 0 || negatives === 0) {
      throw new RangeError(
        `AUROC is undefined: all ${pairs.length} answers are ${positives === 0 ? "wrong" : "correct"}`,
      );
    }
    // Mann–Whitney: the ranks of the correct answers, tied confidences sharing their mean rank.
    let rankSum = 0;
    for (let start = 0; start < sorted.length;) {
      let end = start, correct = 0;
      for (; end < sorted.length && sorted[end].pCorrect === sorted[start].pCorrect; end++) {
        correct += sorted[end].label;
      }
      rankSum += correct * (start + end + 1) / 2;
      start = end;
    }
    return (rankSum - positives * (positives + 1) / 2) / (positives * negatives);
  },
};
