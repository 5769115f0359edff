/** What a reliability diagram and a risk–coverage curve show, as numbers. */
import type { Scored } from "./types.ts";

/** Rows whose confidence lies in one interval. */
export interface ReliabilityBin {
  /** The bin is [low, high), the last one [low, 1]. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
  /** Mean P(correct); null in an empty bin, as are the next three. */
  readonly confidence: number | null;
  /** Share of correct answers, with its 95 % interval (Wilson). */
  readonly accuracy: number | null;
  readonly accuracyLow: number | null;
  readonly accuracyHigh: number | null;
}

/**
 * Edges of bins of equal width over [0, 1], as NumPy's `linspace` has them, on which calibration libraries agree: the
 * edge at 0.3 of ten bins is a rounding above that number, so a confidence of exactly 0.3 lies below it.
 */
export function binEdges(bins: number): Float64Array {
  return Float64Array.from({ length: bins + 1 }, (_, index) => index === bins ? 1 : index * (1 / bins));
}

/** Confidence and accuracy in bins of equal width over [0, 1]; the bins of the metric `ece`. */
export function reliability(pairs: readonly Scored[], bins: number = 10): ReliabilityBin[] {
  const sums = Array.from({ length: bins }, () => ({ count: 0, confidence: 0, correct: 0 }));
  const edges = binEdges(bins);
  for (const { label, pCorrect } of pairs) {
    let index = bins - 1;
    while (pCorrect < edges[index]) index--;
    const bin = sums[index];
    bin.count++;
    bin.confidence += pCorrect;
    bin.correct += label;
  }
  return sums.map(({ count, confidence, correct }, index) => {
    const edges = { low: index / bins, high: (index + 1) / bins, count };
    if (count === 0) {
      return { ...edges, confidence: null, accuracy: null, accuracyLow: null, accuracyHigh: null };
    }
    const [accuracyLow, accuracyHigh] = wilson(correct, count);
    return { ...edges, confidence: confidence / count, accuracy: correct / count, accuracyLow, accuracyHigh };
  });
}

/** Share of wrong answers among the most confident ones. */
export interface RiskPoint {
  /** Share of the questions that are answered, in (0, 1]. */
  readonly coverage: number;
  /** Share of those answers that are wrong. */
  readonly risk: number;
}

/**
 * Risk at each coverage when the least confident answers are withheld. Answers of equal confidence are withheld
 * together.
 *
 * @param points at most this many, evenly over the coverage
 */
export function riskCoverage(pairs: readonly Scored[], points = 200): RiskPoint[] {
  const sorted = pairs.toSorted((a, b) => b.pCorrect - a.pCorrect);
  const curve: RiskPoint[] = [];
  let wrong = 0;
  sorted.forEach(({ label, pCorrect }, index) => {
    wrong += 1 - label;
    const tied = sorted[index + 1]?.pCorrect === pCorrect;
    if (!tied) curve.push({ coverage: (index + 1) / sorted.length, risk: wrong / (index + 1) });
  });
  const step = Math.max(1, Math.ceil(curve.length / points));
  return curve.filter((_, index) => index % step === 0 || index === curve.length - 1);
}

/** Wilson's 95 % interval of a share. */
function wilson(successes: number, count: number): [number, number] {
  const z = 1.959963984540054;
  const share = successes / count;
  const center = (share + z * z / (2 * count)) / (1 + z * z / count);
  const half = z / (1 + z * z / count) * Math.sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  return [Math.max(0, center - half), Math.min(1, center + half)];
}
