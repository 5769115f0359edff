import type { Metric, Tally } from "../../core/mod.ts";
import { type Bin, checkBins, equalMass, equalWidth } from "./bins.ts";

/** Options of {@linkcode ece} and its variants. */
export interface EceOptions {
  /** Number of bins. */
  readonly bins: number;
}

/** Mean P(correct) of a bin less its accuracy. */
const gap = ({ n, confidence, correct }: Bin) => (confidence - correct) / n;

/** Sums a value over the bins. */
const sum = (bins: readonly Bin[], value: (bin: Bin) => number) =>
  bins.reduce((total, bin) => total + value(bin), 0);

/** How the gaps of the bins become one number. */
const NORMS = {
  l1: (bins: readonly Bin[], n: number) => sum(bins, (bin) => Math.abs(gap(bin)) * bin.n) / n,
  l2: (bins: readonly Bin[], n: number) => Math.sqrt(sum(bins, (bin) => gap(bin) ** 2 * bin.n) / n),
  max: (bins: readonly Bin[]) => bins.reduce((most, bin) => Math.max(most, Math.abs(gap(bin))), 0),
  mean: (bins: readonly Bin[]) => sum(bins, (bin) => Math.abs(gap(bin))) / bins.length,
  /** The square of a bin's gap is too large by the variance of its accuracy, which is estimated and taken off. */
  debiased: (bins: readonly Bin[], n: number) => {
    const square = sum(bins, (bin) => {
      if (bin.n < 2) return 0;
      const accuracy = bin.correct / bin.n;
      return (gap(bin) ** 2 - accuracy * (1 - accuracy) / (bin.n - 1)) * bin.n;
    });
    return Math.sqrt(Math.max(0, square / n));
  },
};

function calibrationError(
  name: string,
  version: number,
  description: string,
  binning: (tally: Tally, bins: number) => Bin[],
  norm: keyof typeof NORMS,
): Metric<EceOptions> {
  return {
    kind: "metric",
    name,
    version,
    description,
    better: "lower",
    defaults: { bins: 10 },
    compute(tally, { bins }) {
      checkBins(bins, name);
      return NORMS[norm](binning(tally, bins), tally.n);
    },
  };
}

/**
 * Expected calibration error: gap between mean P(correct) and accuracy in bins of equal width, averaged over the rows.
 * Bins are [lo, hi) except the last, [lo, 1], so a confidence of exactly 1 counts. netcal's `ECE`, and torchmetrics'
 * `BinaryCalibrationError` where no confidence is exactly 1. Unitless, in [0, 1].
 *
 * @example A certain but wrong answer is off by one
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ece, tally } from "@credence/credence";
 *
 * assertEquals(ece.compute(tally([{ label: 0, pCorrect: 1 }]), { bins: 10 }), 1);
 * ```
 */
export const ece: Metric<EceOptions> = calibrationError(
  "ece",
  2,
  "Gap between P(correct) and accuracy over 10 bins of equal width",
  equalWidth,
  "l1",
);

/** Root of the mean squared gap over the bins of {@linkcode ece}, also known as RMS calibration error. In [0, 1]. */
export const eceL2: Metric<EceOptions> = calibrationError(
  "ece-l2",
  1,
  "Root mean square gap between P(correct) and accuracy over 10 bins of equal width",
  equalWidth,
  "l2",
);

/** Maximum calibration error: the largest gap of a bin of {@linkcode ece}. netcal's `MCE`. In [0, 1]. */
export const mce: Metric<EceOptions> = calibrationError(
  "mce",
  1,
  "Largest gap between P(correct) and accuracy of 10 bins of equal width",
  equalWidth,
  "max",
);

/**
 * Average calibration error: mean gap of the bins of {@linkcode ece} that hold answers, however many. netcal's `ACE`; the
 * adaptive error of the same letters is {@linkcode eceMass}. In [0, 1].
 */
export const ace: Metric<EceOptions> = calibrationError(
  "ace",
  1,
  "Gap between P(correct) and accuracy, every filled bin of 10 counted the same",
  equalWidth,
  "mean",
);

/**
 * ECE over bins of equal mass, also known as adaptive: `get_ece_em` of uncertainty-calibration, for P(correct).
 * In [0, 1].
 */
export const eceMass: Metric<EceOptions> = calibrationError(
  "ece-mass",
  1,
  "Gap between P(correct) and accuracy over 10 bins of equally many answers",
  equalMass,
  "l1",
);

/** Root of the mean squared gap over bins of equal mass. In [0, 1]. */
export const eceMassL2: Metric<EceOptions> = calibrationError(
  "ece-mass-l2",
  1,
  "Root mean square gap between P(correct) and accuracy over 10 bins of equally many answers",
  equalMass,
  "l2",
);

/** The largest gap of a bin of equal mass. In [0, 1]. */
export const mceMass: Metric<EceOptions> = calibrationError(
  "mce-mass",
  1,
  "Largest gap between P(correct) and accuracy of 10 bins of equally many answers",
  equalMass,
  "max",
);

/**
 * {@linkcode eceMassL2} without the bias of few answers a bin: the estimator of Kumar, Liang & Ma (NeurIPS 2019), `unbiased_l2_ce`
 * of uncertainty-calibration. Bins of one answer count 0, and so does a negative square. In [0, 1].
 */
export const eceDebiased: Metric<EceOptions> = calibrationError(
  "ece-debiased",
  1,
  "ece-mass-l2 without the bias of few answers a bin (Kumar et al. 2019)",
  equalMass,
  "debiased",
);
