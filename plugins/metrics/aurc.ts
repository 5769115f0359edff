import type { Metric, Tally } from "../../core/mod.ts";

/**
 * Mean, over every number k of answers that are kept, of the share of wrong ones among the k most confident (Geifman,
 * Uziel & El-Yaniv, ICLR 2019). Answers of equal confidence are in no order, so the mean is over all of theirs: the j-th
 * of them is as wrong as they are on average.
 */
function areaUnderRisk({ correct, wrong, n }: Tally): number {
  let area = 0, kept = 0, errors = 0;
  for (let i = correct.length - 1; i >= 0; i--) {
    const tied = correct[i] + wrong[i], each = wrong[i] / tied;
    for (let j = 0; j < tied; j++) {
      errors += each;
      area += errors / ++kept;
    }
  }
  return area / n;
}

/** The same where every correct answer is more confident than every wrong one. */
function oracleArea({ n, nCorrect }: Tally): number {
  let area = 0;
  for (let kept = nCorrect + 1; kept <= n; kept++) area += (kept - nCorrect) / kept;
  return area / n;
}

/**
 * Area under risk by coverage: the share of wrong answers among the most confident ones by P(correct), over all
 * coverages. Unitless, in [0, 1]; without any order among answers it is the share of wrong ones.
 */
export const aurc: Metric = {
  kind: "metric",
  name: "aurc",
  version: 1,
  description: "Share of wrong answers among the most confident by P(correct), mean over coverages",
  better: "lower",
  defaults: {},
  compute: areaUnderRisk,
};

/** `aurc` less that of the perfect order, which is what remains for the confidence to gain. Unitless, from 0. */
export const eAurc: Metric = {
  kind: "metric",
  name: "e-aurc",
  version: 1,
  description: "AURC less that of the perfect order of P(correct)",
  better: "lower",
  defaults: {},
  // Equal up to rounding, they may come out in either order.
  compute: (tally) => Math.max(0, areaUnderRisk(tally) - oracleArea(tally)),
};

/**
 * Prediction rejection ratio: how much of the way from no order of the answers (0) to the perfect one (1) P(correct)
 * goes, measured by AURC (Malinin & Gales, ICLR 2021; as in lm-polygraph with nothing cut off). At most 1. Undefined where
 * all answers are correct or all are wrong.
 */
export const prr: Metric = {
  kind: "metric",
  name: "prr",
  version: 1,
  description: "Share of the AURC between no order and the perfect one that P(correct) gains",
  better: "higher",
  defaults: {},
  compute(tally) {
    const { n, nCorrect } = tally;
    if (nCorrect === 0 || nCorrect === n) {
      throw new RangeError(`PRR is undefined: all ${n} answers are ${nCorrect === 0 ? "wrong" : "correct"}`);
    }
    const risk = 1 - nCorrect / n;
    return (risk - areaUnderRisk(tally)) / (risk - oracleArea(tally));
  },
};
