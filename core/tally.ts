/** From answers to what a metric measures. */
import type { Scored, Tally } from "./types.ts";

/**
 * Counts correct and wrong answers by confidence; groups are left out.
 *
 * @throws {RangeError} without answers, or for a confidence outside [0, 1]
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { brier, tally } from "@credence/credence";
 *
 * const answers = tally([{ label: 1, pCorrect: 0.5 }, { label: 0, pCorrect: 0.5 }, { label: 1, pCorrect: 1 }]);
 * assertEquals([...answers.pCorrect], [0.5, 1]);
 * assertEquals([[...answers.correct], [...answers.wrong]], [[1, 1], [1, 0]]);
 * assertEquals(brier.compute(answers, {}), 0.5 / 3);
 * ```
 */
export function tally(rows: readonly Scored[]): Tally {
  return new TallyPlan(rows).count(new Float64Array(rows.length).fill(1), rows.map((_, index) => index));
}

/** Rows put in order once, so that resamples of them are counted without sorting. */
export class TallyPlan {
  /** Distinct confidences, ascending. */
  readonly #pCorrect: Float64Array;
  /** Of each row: twice the index of its confidence, plus its label. */
  readonly #cell: Int32Array;
  readonly #counts: Float64Array;

  constructor(rows: readonly Scored[]) {
    if (rows.length === 0) throw new RangeError("there are no answers to count");
    for (const { pCorrect } of rows) {
      if (!(pCorrect >= 0 && pCorrect <= 1)) throw new RangeError(`P(correct) is ${pCorrect}, not in [0, 1]`);
    }
    // -0 is 0, but sorts below it.
    this.#pCorrect = Float64Array.from(new Set(rows.map(({ pCorrect }) => pCorrect + 0))).sort();
    const index = new Map(Array.from(this.#pCorrect, (value, index) => [value, index]));
    this.#cell = Int32Array.from(rows, ({ label, pCorrect }) => 2 * index.get(pCorrect + 0)! + label);
    this.#counts = new Float64Array(2 * this.#pCorrect.length);
  }

  /**
   * Counts each row as often as its unit says.
   *
   * @param times how often each unit was drawn
   * @param unit of each row
   */
  count(times: Float64Array, unit: ArrayLike<number>): Tally {
    const counts = this.#counts.fill(0), cell = this.#cell, values = this.#pCorrect;
    for (let row = 0; row < cell.length; row++) counts[cell[row]] += times[unit[row]];
    const pCorrect = new Float64Array(values.length);
    const correct = new Float64Array(values.length), wrong = new Float64Array(values.length);
    let length = 0, n = 0, nCorrect = 0;
    for (let index = 0; index < values.length; index++) {
      const right = counts[2 * index + 1], all = right + counts[2 * index];
      if (all === 0) continue;
      pCorrect[length] = values[index];
      correct[length] = right;
      wrong[length++] = all - right;
      n += all;
      nCorrect += right;
    }
    return {
      pCorrect: pCorrect.subarray(0, length),
      correct: correct.subarray(0, length),
      wrong: wrong.subarray(0, length),
      n,
      nCorrect,
    };
  }
}
