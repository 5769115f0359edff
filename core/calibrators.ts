/** Calibrators: maps from a method's confidence to a better one, fitted on validation rows. */
import { fitLogistic, sigmoid, softplus } from "./logistic.ts";
import { fitTemperature, probabilityOf, type ScoredLogits } from "./temperature.ts";
import type { Score } from "./types.ts";

/** How a calibrator maps confidences. */
export type Calibrator =
  /** Divides logits; see {@linkcode fitTemperature}. */
  | { readonly kind: "temperature"; readonly temperature: number }
  /** P(correct) is the sigmoid of `slope · z + intercept`, with z the log-odds (Platt 1999). */
  | { readonly kind: "platt"; readonly slope: number; readonly intercept: number }
  /** P(correct) is the sigmoid of `a · log p - b · log(1 - p) + c` (Kull et al. 2017). */
  | { readonly kind: "beta"; readonly a: number; readonly b: number; readonly c: number }
  /** P(correct) by linear interpolation between points, which rise. */
  | {
    readonly kind: "isotonic";
    /** Confidences in ascending order. */
    readonly confidences: readonly number[];
    /** P(correct) at each; constant beyond the first and the last. */
    readonly probabilities: readonly number[];
  };

/** Names of the calibrators, in the order users see them. */
export const CALIBRATORS = [
  "temperature",
  "platt",
  "beta",
  "isotonic",
] as const satisfies readonly Calibrator[
  "kind"
][];

/** What a method said of a decided row. */
export interface ScoredRow {
  /** Not null: a row without a confidence has nothing to be calibrated. */
  readonly score: NonNullable<Score>;
  /** 1 correct, 0 wrong. */
  readonly label: 0 | 1;
}

/** A calibrator, and what it does to the rows it was fitted on. */
export interface FittedCalibrator {
  /** For {@linkcode calibrated}. */
  readonly calibrator: Calibrator;
  /** Mean negative log-likelihood of the rows before, in nats. */
  readonly nllBefore: number;
  /** The same after calibration. */
  readonly nllAfter: number;
  /** False when a temperature is at one of its limits; see {@linkcode fitTemperature}. */
  readonly bounded: boolean;
}

/** Log-odds that stand for a confidence of exactly 1, as betacal takes it to be a rounding less; those of 0 are the negative. */
const CERTAIN = Math.log((1 - Number.EPSILON) / Number.EPSILON);

/** Weight of the squared parameters of beta calibration, as its authors' package has it; it only counts where rows are separable. */
const BETA_RIDGE = 1e-11;

/**
 * Fits a calibrator to rows that nothing was trained on.
 *
 * Temperature: the maximum of the likelihood; rows whose confidence is exactly 0 or 1 have no finite logits and are
 * passed over. Platt: with his smoothed targets, as scikit-learn's `sigmoid`. Beta: with three parameters, `a` and `b` not
 * negative, as `betacal`. Isotonic: the rising map of least squares, by pooling adjacent violators, as scikit-learn.
 *
 * @param rows at least one that has something to say; for all but a temperature, right and wrong ones
 * @throws {RangeError} where the rows do not allow it
 * @example Confidence of 0.88 that is right three times in four becomes 0.75
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { calibrated, fitCalibrator } from "@credence/credence";
 *
 * const rows = ([1, 1, 1, 0] as const).map((label) => ({ score: 0.88, label }));
 * const { calibrator } = fitCalibrator("isotonic", rows);
 * assertAlmostEquals(calibrated(0.88, calibrator)!, 0.75, 1e-12);
 * ```
 */
export function fitCalibrator(kind: Calibrator["kind"], rows: readonly ScoredRow[]): FittedCalibrator {
  if (kind === "temperature") {
    const scored = rows.flatMap(({ score, label }): ScoredLogits[] => {
      if (typeof score === "object") {
        return [
          "logits" in score ? { logits: score.logits, label: score.target } : { logits: score, label },
        ];
      }
      return score > 0 && score < 1 ? [{ logits: [Math.log1p(-score), Math.log(score)], label }] : [];
    });
    const { temperature, ...rest } = fitTemperature(scored);
    return { calibrator: { kind, temperature }, ...rest };
  }
  if (new Set(rows.map(({ label }) => label)).size < 2) {
    throw new RangeError(`fitCalibrator("${kind}", rows) needs rows of both labels`);
  }
  const calibrator = { platt: fitPlatt, beta: fitBeta, isotonic: fitIsotonic }[kind](rows);
  const nll = (confidence: (score: Score) => number | null) =>
    rows.reduce((sum, { score, label }) => {
      const p = confidence(score)!;
      return sum - Math.log(Math.max(Number.EPSILON, label === 1 ? p : 1 - p)) / rows.length;
    }, 0);
  return {
    calibrator,
    nllBefore: nll(probabilityOf),
    nllAfter: nll((score) => calibrated(score, calibrator)),
    bounded: true,
  };
}

/**
 * P(correct) of what a method says, after calibration.
 *
 * @param calibrator none: as the method gave it
 * @returns null where the method had none to give
 */
export function calibrated(score: Score, calibrator?: Calibrator): number | null {
  if (score === null || calibrator === undefined) return probabilityOf(score);
  switch (calibrator.kind) {
    case "temperature":
      return probabilityOf(score, calibrator.temperature);
    case "platt":
      return sigmoid(calibrator.slope * logOdds(score) + calibrator.intercept);
    case "beta": {
      const [logP, logQ] = logProbabilities(score);
      return sigmoid(calibrator.a * logP - calibrator.b * logQ + calibrator.c);
    }
    case "isotonic":
      return interpolate(probabilityOf(score)!, calibrator.confidences, calibrator.probabilities);
  }
}

/** Log-odds of P(correct), finite. */
function logOdds(score: NonNullable<Score>): number {
  const z = exactLogOdds(score);
  // What is less likely than a rounding, as a long answer is, keeps its place among its like.
  return Number.isFinite(z) ? z : Math.sign(z) * CERTAIN;
}

function exactLogOdds(score: NonNullable<Score>): number {
  if (typeof score === "number") return Math.log(score) - Math.log1p(-score);
  if (!("logits" in score)) return score[1] - score[0];
  const others = score.logits.filter((_, index) => index !== score.answer);
  const largest = Math.max(...others);
  const total = Math.log(others.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
  return score.logits[score.answer] - largest - total;
}

/** `log p` and `log(1 - p)`. */
function logProbabilities(score: NonNullable<Score>): [number, number] {
  const z = logOdds(score);
  return [-softplus(-z), -softplus(z)];
}

function fitPlatt(rows: readonly ScoredRow[]): Calibrator {
  const correct = rows.filter(({ label }) => label === 1).length, wrong = rows.length - correct;
  // As if there were one more of each class: the parameters stay finite where rows are separable.
  const targets = rows.map(({ label }) => label === 1 ? (correct + 1) / (correct + 2) : 1 / (wrong + 2));
  const { weights: [slope], intercept } = fitLogistic(rows.map(({ score }) => [logOdds(score)]), targets);
  return { kind: "platt", slope, intercept };
}

function fitBeta(rows: readonly ScoredRow[]): Calibrator {
  const features = rows.map(({ score }) => {
    const [logP, logQ] = logProbabilities(score);
    return [logP, -logQ];
  });
  const targets = rows.map(({ label }) => label as number);
  const fit = (which: readonly number[]) => {
    const chosen = features.map((values) => which.map((index) => values[index]));
    const { weights, intercept } = fitLogistic(chosen, targets, BETA_RIDGE);
    const [a, b] = [0, 1].map((index) => which.includes(index) ? weights[which.indexOf(index)] : 0);
    return { a, b, c: intercept };
  };
  // A negative parameter would turn the order of confidences round somewhere.
  let found = fit([0, 1]);
  if (found.a < 0) found = fit([1]);
  else if (found.b < 0) found = fit([0]);
  if (found.a < 0 || found.b < 0) found = fit([]);
  return { kind: "beta", ...found };
}

interface Pool {
  sum: number;
  count: number;
  /** First and last confidence. */
  readonly first: number;
  last: number;
}

function fitIsotonic(rows: readonly ScoredRow[]): Calibrator {
  const sorted = rows.map(({ score, label }) => ({ p: probabilityOf(score)!, label })).sort((a, b) =>
    a.p - b.p
  );
  const pools: Pool[] = [];
  const isLower = (one: Pool, other: Pool) => one.sum / one.count < other.sum / other.count;
  for (let index = 0; index < sorted.length;) {
    const { p } = sorted[index], pool: Pool = { sum: 0, count: 0, first: p, last: p };
    for (; index < sorted.length && sorted[index].p === p; index++) {
      pool.sum += sorted[index].label;
      pool.count++;
    }
    pools.push(pool);
    while (pools.length > 1 && !isLower(pools.at(-2)!, pools.at(-1)!)) {
      const last = pools.pop()!, before = pools.at(-1)!;
      before.sum += last.sum;
      before.count += last.count;
      before.last = last.last;
    }
  }
  const points = pools.flatMap(({ sum, count, first, last }) =>
    (first === last ? [first] : [first, last]).map((p) => ({ p, share: sum / count }))
  );
  return {
    kind: "isotonic",
    confidences: points.map(({ p }) => p),
    probabilities: points.map(({ share }) => share),
  };
}

/** The value at `x` of the line through points, constant beyond them. */
function interpolate(x: number, xs: readonly number[], ys: readonly number[]): number {
  const above = xs.findIndex((other) => other >= x);
  if (above < 0) return ys.at(-1)!;
  if (above === 0 || xs[above] === x) return ys[above];
  const share = (x - xs[above - 1]) / (xs[above] - xs[above - 1]);
  return ys[above - 1] + share * (ys[above] - ys[above - 1]);
}
