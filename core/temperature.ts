/** Temperature scaling: one positive number by which logits are divided, chosen on validation rows. */

import type { Score } from "./types.ts";

/** A decided row: logits, and which of them should be the largest. */
export interface ScoredLogits {
  /** At temperature 1: the scores of "wrong" and "correct", or one of each answer there was to choose from. */
  readonly logits: readonly number[];
  /** Index into `logits`: 1 correct, 0 wrong; or the right answer. */
  readonly label: number;
}

/** A fitted temperature. */
export interface Temperature {
  /** Divides the logits; above 1 it softens, below 1 it sharpens. */
  readonly temperature: number;
  /** Mean negative log-likelihood before and after, in nats. */
  readonly nllBefore: number;
  /** At the fitted temperature; at most `nllBefore`, but for rounding. */
  readonly nllAfter: number;
  /** False when the likelihood has no maximum within the limits and the temperature is at one of them. */
  readonly bounded: boolean;
}

/** Between these a temperature is sought: beyond them probabilities are 0, ½ or 1 anyway. */
export const TEMPERATURE_LIMITS = { lowest: 0.01, highest: 100 } as const;

/** Probability of "correct": the second of two softmaxed logits. */
export function probabilityCorrect([wrong, correct]: readonly [number, number], temperature = 1): number {
  return 1 / (1 + Math.exp((wrong - correct) / temperature));
}

/** Softmax of logits that are divided by a temperature. */
export function softmax(logits: readonly number[], temperature = 1): number[] {
  // Relative to the largest: exp overflows f64 above 709.
  const largest = Math.max(...logits);
  const masses = logits.map((logit) => Math.exp((logit - largest) / temperature));
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  return masses.map((mass) => mass / total);
}

/**
 * P(correct) of what a method says. A probability is scaled as the logits it is the softmax of.
 *
 * @returns null where the method had none to give
 */
export function probabilityOf(score: Score, temperature = 1): number | null {
  if (score === null) return null;
  if (typeof score === "number") {
    return temperature === 1 ? score : probabilityCorrect([Math.log1p(-score), Math.log(score)], temperature);
  }
  return "logits" in score
    ? softmax(score.logits, temperature)[score.answer]
    : probabilityCorrect(score, temperature);
}

/**
 * The temperature that makes the labels likeliest.
 *
 * The mean negative log-likelihood is convex in 1 / temperature, so the zero of its derivative is found by bisection,
 * to the last bit.
 *
 * @param rows at least one
 * @example Confidence of 0.88 that is right three times in four is softened to 0.75
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { fitTemperature, probabilityCorrect } from "@credence/credence";
 *
 * const labels = [1, 1, 1, 0] as const;
 * const { temperature } = fitTemperature(labels.map((label) => ({ logits: [0, 2], label })));
 * assertAlmostEquals(probabilityCorrect([0, 2], temperature), 0.75, 1e-9);
 * ```
 */
export function fitTemperature(rows: readonly ScoredLogits[]): Temperature {
  if (rows.length === 0) throw new RangeError("fitTemperature(rows) needs at least one row");
  const { lowest, highest } = TEMPERATURE_LIMITS;
  let below = 1 / highest, above = 1 / lowest;
  let bounded = true;
  if (slope(rows, below) >= 0) [above, bounded] = [below, false];
  else if (slope(rows, above) <= 0) [below, bounded] = [above, false];
  while (bounded) {
    const middle = (below + above) / 2;
    if (middle <= below || middle >= above) break;
    if (slope(rows, middle) < 0) below = middle;
    else above = middle;
  }
  const temperature = 2 / (below + above);
  return { temperature, nllBefore: meanNll(rows, 1), nllAfter: meanNll(rows, temperature), bounded };
}

/** Derivative of the summed negative log-likelihood for 1 / temperature. */
function slope(rows: readonly ScoredLogits[], inverse: number): number {
  return rows.reduce((sum, { logits, label }) => {
    const expected = softmax(logits, 1 / inverse).reduce(
      (mean, p, k) => mean + p * (logits[k] - logits[label]),
      0,
    );
    return sum + expected;
  }, 0);
}

function meanNll(rows: readonly ScoredLogits[], temperature: number): number {
  return rows.reduce((sum, { logits, label }) => {
    const margins = logits.map((logit) => (logit - logits[label]) / temperature);
    const largest = Math.max(...margins);
    return sum + largest + Math.log(margins.reduce((total, margin) => total + Math.exp(margin - largest), 0));
  }, 0) / rows.length;
}
