import { binEdges, type Metric } from "../../core/mod.ts";
import { checkBins } from "./bins.ts";
import type { EceOptions } from "./ece.ts";

/**
 * The research code's ECE, for its tables: confidence is the maximum probability max(p, 1 − p), and what it is compared
 * with is how often P(correct) above 0.5 or not judges the answer rightly. Bins are [lo, hi), so answers with a confidence
 * of exactly 1 belong to none and are left out of the mean; where all are, it is undefined. In [0, 1].
 *
 * @example Three certain errors do not count
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { seedEce, tally } from "@credence/credence";
 *
 * const answers = tally([1, 1, 1, 0.9].map((pCorrect, index) => ({ label: index < 3 ? 0 : 1, pCorrect })));
 * assertAlmostEquals(seedEce.compute(answers, { bins: 10 }), 0.1);
 * ```
 */
export const seedEce: Metric<EceOptions> = {
  kind: "metric",
  name: "seed-ece",
  version: 1,
  description: "The research code's ECE, on the maximum probability; drops confidences of exactly 1",
  better: "lower",
  defaults: { bins: 10 },
  compute({ pCorrect, correct, wrong, n }, { bins }) {
    checkBins(bins, "seed-ece");
    const edges = binEdges(bins);
    // Signed sum of confidence less judged rightly in each bin: its size is the bin's gap times its number of answers.
    const gaps = new Float64Array(bins);
    let counted = 0;
    for (let i = 0; i < pCorrect.length; i++) {
      const confidence = Math.max(pCorrect[i], 1 - pCorrect[i]);
      if (confidence === 1) continue;
      let bin = Math.min(bins - 1, Math.floor(confidence * bins));
      while (confidence < edges[bin]) bin--;
      while (confidence >= edges[bin + 1]) bin++;
      const all = correct[i] + wrong[i];
      gaps[bin] += all * confidence - (pCorrect[i] > 0.5 ? correct[i] : wrong[i]);
      counted += all;
    }
    if (counted === 0) {
      throw new RangeError(
        `The research code's ECE is undefined: all ${n} answers have a confidence of exactly 1`,
      );
    }
    return gaps.reduce((total, gap) => total + Math.abs(gap), 0) / counted;
  },
};
