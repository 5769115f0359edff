/** The contract of metrics, and what they measure. */
import type { Options, PluginBase } from "./types.ts";

/** An answer that was decided, with a confidence. */
export interface Scored {
  /** 1 correct, 0 wrong; undecided answers never reach a metric. */
  readonly label: 0 | 1;
  /** Probability that the answer is correct, in [0, 1]. */
  readonly pCorrect: number;
  /** Questions that belong together; resampled together for intervals. */
  readonly group?: string;
}

/** What a metric measures: how many correct and wrong answers had each confidence. */
export interface Tally {
  /** The distinct values of P(correct), ascending, in [0, 1]; at least one. */
  readonly pCorrect: Float64Array;
  /** Number of correct answers with each of them; at least one answer, correct or wrong, has each. */
  readonly correct: Float64Array;
  /** Number of wrong answers with each of them. */
  readonly wrong: Float64Array;
  /** Number of answers. */
  readonly n: number;
  /** Number of correct answers. */
  readonly nCorrect: number;
}

/** One number about a set of confidences. */
export interface Metric<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `compute`. */
  readonly kind: "metric";
  /** Which end of the scale is good; reports say so beside the value. */
  readonly better: "higher" | "lower";
  /** Throws where it is undefined; never gives NaN. Called for the answers and for each of their resamples. */
  compute(tally: Tally, options: O): number;
}
