import { type Metric, UserError } from "../../core/mod.ts";

/** Options of {@linkcode ece}. */
export interface EceOptions {
  /** Number of bins of equal width over [0, 1]. */
  readonly bins: number;
}

/**
 * Expected calibration error: gap between mean P(correct) and accuracy in bins of equal width, averaged over the rows.
 * Bins are [lo, hi) except the last, [lo, 1], so a confidence of exactly 1 counts. Unitless, in [0, 1].
 *
 * @example A certain but wrong answer is off by one
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ece } from "@credence/credence";
 *
 * assertEquals(ece.compute([{ label: 0, pCorrect: 1 }], { bins: 10 }), 1);
 * ```
 */
export const ece: Metric<EceOptions> = {
  kind: "metric",
  name: "ece",
  version: 1,
  description: "Gap between P(correct) and accuracy over 10 bins of equal width",
  better: "lower",
  defaults: { bins: 10 },
  compute(pairs, { bins }) {
    if (!Number.isInteger(bins) || bins < 1) {
      throw new UserError({
        kind: "usage",
        what: `Option "bins" is ${bins}`,
        where: 'options of metric "ece"',
        fix: "give a whole number from 1",
      });
    }
    // Signed sum of label - P(correct) in each bin: its size is the bin's gap times its number of rows.
    const gaps = new Float64Array(bins);
    for (const { label, pCorrect } of pairs) {
      gaps[Math.min(bins - 1, Math.floor(pCorrect * bins))] += label - pCorrect;
    }
    return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / pairs.length;
  },
};
