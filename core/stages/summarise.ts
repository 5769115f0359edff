/** From predictions to numbers with intervals. */
import {
  type Estimate,
  estimate,
  groupCount,
  interval,
  replicate,
  RESAMPLES,
  type Undefined,
} from "../bootstrap.ts";
import { dataError } from "../files.ts";
import type { Prediction } from "../records.ts";
import type { Rng } from "../rng.ts";
import type { Metric, Scored } from "../types.ts";

/** What the metrics need of a prediction. */
export type Judged = Pick<Prediction, "label" | "group" | "pCorrect">;

/** What is reported about a set of predictions. */
export interface Summary {
  /** Answers with a label and a confidence: what every metric is about. */
  readonly n: number;
  /** Answers the labeler could not decide; no metric counts them. */
  readonly undecided: number;
  /** Decided answers for which the method gave no confidence; no metric counts them. */
  readonly unscored: number;
  /** Correct answers among all that are decided, those without a confidence included. */
  readonly correct: number;
  /** Number of groups that are resampled as wholes for the intervals; 0 where rows are. */
  readonly groups: number;
  /** By name of the metric. */
  readonly metrics: Readonly<Record<string, Estimate | Undefined>>;
}

/** The decided answers with a confidence. */
export function scoredRows(predictions: readonly Judged[]): Scored[] {
  return predictions.flatMap(({ label, pCorrect, group }) =>
    label === null || pCorrect === null
      ? []
      : [{ label, pCorrect, ...(group === undefined ? {} : { group }) }]
  );
}

/**
 * Computes the metrics, with 95 % intervals, over the decided answers that have a confidence; where none has one, no
 * metric is defined.
 *
 * @throws {UserError} of kind `data` if no answer is decided
 */
export function summarise(predictions: readonly Judged[], metrics: readonly Metric[], rng: Rng): Summary {
  const rows = scoredRows(predictions), decided = predictions.filter(({ label }) => label !== null);
  if (decided.length === 0) {
    throw dataError(
      `None of ${predictions.length} answers has a label`,
      "evaluation",
      "label the answers first (deno task generate labels), or use another --strategy",
    );
  }
  return {
    n: rows.length,
    undecided: predictions.length - decided.length,
    unscored: decided.length - rows.length,
    correct: decided.filter(({ label }) => label === 1).length,
    groups: groupCount(rows),
    metrics: Object.fromEntries(
      rows.length > 0 ? estimate(rows, metrics, rng) : metrics.map((
        { name },
      ) => [name, { undefined: `None of ${decided.length} answers has a confidence` }]),
    ),
  };
}

/** Means of a metric over datasets, by name of the metric; null where no dataset has a value. */
export type Means = Readonly<Record<string, Estimate | null>>;

/** Both means over several datasets. */
export interface TaskMeans {
  /** Each dataset counts the same. */
  readonly unweighted: Means;
  /** Each dataset counts as often as it has answers. */
  readonly weighted: Means;
}

/**
 * Means of each metric over the datasets where it is defined, with 95 % intervals: each dataset's answers are resampled by
 * themselves, as they are not drawn from the others. On a resample, the datasets where the metric is defined are counted.
 */
export function meansOver(
  datasets: readonly (readonly Judged[])[],
  metrics: readonly Metric[],
  rng: Rng,
  resamples: number = RESAMPLES,
): TaskMeans {
  const tasks = datasets.map(scoredRows).filter((rows) => rows.length > 0)
    .map((rows) => ({ n: rows.length, results: replicate([rows], metrics, rng, resamples)[0] }));
  const meansBy = (weight: (n: number) => number): Means =>
    Object.fromEntries(metrics.map(({ name }) => {
      const parts = tasks.flatMap(({ n, results }) => {
        const result = results.get(name)!;
        return "undefined" in result ? [] : [{ ...result, weight: weight(n) }];
      });
      if (parts.length === 0) return [name, null];
      const { value, low, high } = weightedMean(parts);
      return [name, { value, low, high }];
    }));
  return { unweighted: meansBy(() => 1), weighted: meansBy((n) => n) };
}

/** Weighted mean of values, with the interval that its resamples give. */
function weightedMean(
  parts: readonly { readonly value: number; readonly samples: Float64Array; readonly weight: number }[],
): Estimate & { readonly samples: Float64Array } {
  const mean = (valueOf: (part: typeof parts[number]) => number) => {
    let sum = 0, total = 0;
    for (const part of parts) {
      const value = valueOf(part);
      if (Number.isNaN(value)) continue;
      sum += part.weight * value;
      total += part.weight;
    }
    return sum / total;
  };
  const samples = parts[0].samples.map((_, index) => mean(({ samples }) => samples[index]));
  const value = mean(({ value }) => value);
  return { value, ...interval(value, samples), samples };
}
