/** Whether one confidence orders the same answers better than another: DeLong's test of two AUROCs. */
import jstat from "jstat";
import { unitsOf } from "./bootstrap.ts";
import type { Scored } from "./types.ts";

/** The difference of two AUROCs on the same answers. */
export interface AurocDifference {
  /** AUROC of the second less that of the first. */
  readonly value: number;
  /** Its standard error; 0 where both order every pair of a correct and a wrong answer alike. */
  readonly standardError: number;
}

/**
 * AUROC of a second confidence less that of a first, with its standard error (DeLong, DeLong & Clarke-Pearson,
 * Biometrics 44, 1988). Where answers are of several groups, groups are what was drawn (Obuchowski, Biometrics 53, 1997), which
 * is the same where each answer is a group of its own.
 *
 * @param first answers, with the first confidence
 * @param second the same answers in the same order, with the second confidence
 * @throws {RangeError} where all answers are correct, or all are wrong
 */
export function aurocDifference(first: readonly Scored[], second: readonly Scored[]): AurocDifference {
  const nCorrect = first.filter(({ label }) => label === 1).length, nWrong = first.length - nCorrect;
  if (nCorrect === 0 || nWrong === 0) {
    throw new RangeError(
      `AUROC is undefined: all ${first.length} answers are ${nCorrect === 0 ? "wrong" : "correct"}`,
    );
  }
  const a = placements(first, nCorrect, nWrong), b = placements(second, nCorrect, nWrong);
  const mean = (index: 0 | 1, of: Float64Array, count: number) =>
    first.reduce((sum, { label }, row) => label === index ? sum + of[row] : sum, 0) / count;
  const value = mean(1, b, nCorrect) - mean(1, a, nCorrect);
  // For each group, what its wrong and its correct answers say of the difference, less its mean.
  const { unit, count } = unitsOf(first);
  const sums = [new Float64Array(count), new Float64Array(count)], counts = [new Set(), new Set()];
  first.forEach(({ label }, row) => {
    sums[label][unit[row]] += b[row] - a[row] - value;
    counts[label].add(unit[row]);
  });
  const product = (x: Float64Array, y: Float64Array) => x.reduce((sum, of, index) => sum + of * y[index], 0);
  // Of n drawn units n - 1 are free; of a single one nothing is known.
  const free = (units: number) => units > 1 ? units / (units - 1) : NaN;
  const [wrong, correct] = sums;
  const variance = free(counts[1].size) * product(correct, correct) / nCorrect ** 2 +
    free(counts[0].size) * product(wrong, wrong) / nWrong ** 2 +
    2 * free(count) * product(correct, wrong) / (nCorrect * nWrong);
  return { value, standardError: Math.sqrt(Math.max(0, variance)) };
}

/** Probability that a standard normal variable is at least as far from 0 as `z`, on either side. */
export function normalTails(z: number): number {
  return 2 * jstat.normal.cdf(-Math.abs(z), 0, 1);
}

/** Of each correct answer the share of wrong ones below it, of each wrong one the share of correct ones above; ties half. */
function placements(rows: readonly Scored[], nCorrect: number, nWrong: number): Float64Array {
  const order = rows.map((_, row) => row).sort((i, j) => rows[i].pCorrect - rows[j].pCorrect);
  const placed = new Float64Array(rows.length);
  let correctBelow = 0, wrongBelow = 0;
  for (let start = 0, end = 0; start < order.length; start = end) {
    let correct = 0, wrong = 0;
    for (; end < order.length && rows[order[end]].pCorrect === rows[order[start]].pCorrect; end++) {
      if (rows[order[end]].label === 1) correct++;
      else wrong++;
    }
    for (let index = start; index < end; index++) {
      placed[order[index]] = rows[order[index]].label === 1
        ? (wrongBelow + wrong / 2) / nWrong
        : (nCorrect - correctBelow - correct / 2) / nCorrect;
    }
    correctBelow += correct;
    wrongBelow += wrong;
  }
  return placed;
}
