import { binEdges, type Tally, UserError } from "../../core/mod.ts";

/** Answers whose confidences lie in one interval. */
export interface Bin {
  /** Number of answers, from 1. */
  n: number;
  /** Sum of their P(correct). */
  confidence: number;
  /** Number of correct ones among them. */
  correct: number;
}

/** Refuses a number of bins that is none. */
export function checkBins(bins: number, metric: string): void {
  if (Number.isInteger(bins) && bins >= 1) return;
  throw new UserError({
    kind: "usage",
    what: `Option "bins" is ${bins}`,
    where: `options of metric "${metric}"`,
    fix: "give a whole number from 1",
  });
}

/** Bins of equal width over [0, 1], those without an answer left out: [low, high), the last one [low, 1]. */
export function equalWidth({ pCorrect, correct, wrong }: Tally, bins: number): Bin[] {
  const edges = binEdges(bins);
  return collect(pCorrect, correct, wrong, (value, bin) => bin < bins - 1 && value >= edges[bin + 1]);
}

/**
 * Bins of about the same number of answers, as `get_equal_bins` of uncertainty-calibration makes them (Kumar, Liang & Ma,
 * NeurIPS 2019): the sorted answers are cut as NumPy's `array_split` cuts, each edge lies midway between its
 * neighbours, and a bin is (low, high]. Answers of equal confidence share a bin, so there may be fewer.
 */
export function equalMass({ pCorrect, correct, wrong, n }: Tally, bins: number): Bin[] {
  const parts = Math.min(bins, n), size = Math.floor(n / parts), larger = n % parts;
  const edges: number[] = [];
  let index = 0, seen = correct[0] + wrong[0];
  for (let part = 1, cut = 0; part < parts; part++) {
    cut += part <= larger ? size + 1 : size;
    while (seen < cut) seen += correct[++index] + wrong[index];
    edges.push((pCorrect[index] + (seen > cut ? pCorrect[index] : pCorrect[index + 1])) / 2);
  }
  return collect(pCorrect, correct, wrong, (value, bin) => bin < edges.length && value > edges[bin]);
}

/** Goes through the confidences in order, to the next bin as long as `beyond` says so. */
function collect(
  pCorrect: Float64Array,
  correct: Float64Array,
  wrong: Float64Array,
  beyond: (value: number, bin: number) => boolean,
): Bin[] {
  const filled: Bin[] = [];
  let bin = 0, current: Bin | undefined;
  for (let i = 0; i < pCorrect.length; i++) {
    while (beyond(pCorrect[i], bin)) {
      bin++;
      current = undefined;
    }
    if (current === undefined) filled.push(current = { n: 0, confidence: 0, correct: 0 });
    const all = correct[i] + wrong[i];
    current.n += all;
    current.confidence += all * pCorrect[i];
    current.correct += correct[i];
  }
  return filled;
}
