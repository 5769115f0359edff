/** How far several labelers agree, beyond what chance would give. */
import { type Estimate, interval, RESAMPLES, type Undefined, uniformSource, unitsOf } from "./bootstrap.ts";
import type { Label } from "./records.ts";
import type { Rng } from "./rng.ts";

/** The labels that one answer got. */
export interface Votes {
  /** Of each labeler, in the same order for every answer; null where it was undecided, which counts as missing. */
  readonly votes: readonly Label[];
  /** Answers that belong together are resampled together. */
  readonly group?: string;
}

/**
 * Krippendorff's alpha for two labels, with missing ones: 1 where all labelers always agree, 0 where they agree as
 * often as by chance, below where less. Answers with fewer than two labels do not count. (Krippendorff, "Computing
 * Krippendorff's Alpha-Reliability", 2011; `krippendorff.alpha` of PyPI, nominal.)
 *
 * The 95 % interval is by bootstrap over the answers.
 *
 * @example Two labelers who agree on three of four answers
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { createRng, krippendorffAlpha } from "@credence/credence";
 *
 * const votes = [[1, 1], [0, 0], [1, 0], [0, 0]] as const;
 * const alpha = krippendorffAlpha(votes.map((votes) => ({ votes })), createRng(137));
 * assertEquals("value" in alpha && alpha.value.toFixed(3), "0.533");
 * ```
 */
export function krippendorffAlpha(
  answers: readonly Votes[],
  rng: Rng,
  resamples: number = RESAMPLES,
): Estimate | Undefined {
  const counted = answers.map(({ votes, group }) => {
    const correct = votes.filter((label) => label === 1).length;
    return { correct, wrong: votes.filter((label) => label === 0).length, group };
  }).filter(({ correct, wrong }) => correct + wrong >= 2);
  if (counted.length === 0) return { undefined: "no answer has labels of two labelers" };
  const { unit, count } = unitsOf(counted), times = new Float64Array(count).fill(1);
  const value = alphaOf(counted, times, unit);
  if (Number.isNaN(value)) {
    return { undefined: `all labels are ${counted[0].correct > 0 ? "correct" : "wrong"}` };
  }
  const samples = new Float64Array(resamples), uniform = uniformSource(rng);
  for (let resample = 0; resample < resamples; resample++) {
    times.fill(0);
    for (let drawn = 0; drawn < count; drawn++) times[Math.floor(uniform() * count)]++;
    samples[resample] = alphaOf(counted, times, unit);
  }
  const { low, high } = interval(value, samples);
  return { value, low, high: high === null ? null : Math.min(1, high) };
}

/** One less the ratio of disagreements that are there to those expected; NaN where there is but one label. */
function alphaOf(
  answers: readonly { readonly correct: number; readonly wrong: number }[],
  times: Float64Array,
  unit: ArrayLike<number>,
): number {
  let correctAll = 0, wrongAll = 0, disagreements = 0;
  answers.forEach(({ correct, wrong }, index) => {
    const weight = times[unit[index]];
    correctAll += weight * correct;
    wrongAll += weight * wrong;
    disagreements += weight * correct * wrong / (correct + wrong - 1);
  });
  return 1 - (correctAll + wrongAll - 1) * disagreements / (correctAll * wrongAll);
}
