/** Values of metrics on resamples of the rows, and the intervals they give (Efron & Tibshirani, 1993). */
import { UserError } from "./errors.ts";
import { resolveOptions } from "./options.ts";
import type { Rng } from "./rng.ts";
import { TallyPlan } from "./tally.ts";
import type { Metric, Scored, Tally } from "./types.ts";

/** A number with the interval in which it lies 95 times in 100. */
export interface Estimate {
  /** On all rows. */
  readonly value: number;
  /** Both null where too few resamples have a value. */
  readonly low: number | null;
  /** Likewise. */
  readonly high: number | null;
}

/** Why a metric has no value. */
export interface Undefined {
  /** The metric's own words. */
  readonly undefined: string;
}

/** Resamples by default: the interval's ends then move by about a fifteenth of its width between seeds. */
export const RESAMPLES = 2000;

/** Share of the resamples that have to have a value. */
const LEAST = 0.95;

/** A metric on all rows and on each resample. */
export type Replicates = Undefined | {
  /** On all rows. */
  readonly value: number;
  /** On each resample; NaN where it is undefined there. */
  readonly samples: Float64Array;
};

/**
 * Each metric with its 95 % interval: the middle of its values on resamples with replacement, of the groups if the rows
 * have several, else of the rows, less their bias.
 *
 * All metrics are computed on the same resamples. A metric that is undefined on the rows, such as AUROC when all
 * labels are equal, says why; where more than a twentieth of the resamples is undefined, there is no interval.
 */
export function estimate(
  rows: readonly Scored[],
  metrics: readonly Metric[],
  rng: Rng,
  resamples: number = RESAMPLES,
): Map<string, Estimate | Undefined> {
  const [replicates] = replicate([rows], metrics, rng, resamples);
  return new Map([...replicates].map(([name, result]) => [
    name,
    "undefined" in result ? result : { value: result.value, ...interval(result.value, result.samples) },
  ]));
}

/**
 * Each metric on resamples of several runs' rows, the same rows drawn for each run.
 *
 * @param runs answers to the same questions, in the same order; the groups are those of the first run
 * @return one map a run, by name of the metric
 */
export function replicate(
  runs: readonly (readonly Scored[])[],
  metrics: readonly Metric[],
  rng: Rng,
  resamples: number,
): readonly ReadonlyMap<string, Replicates>[] {
  const options = metrics.map((metric) => resolveOptions(metric, {}));
  /** The metric's value, or why it has none. */
  const compute = (metric: number, tally: Tally): number | string => {
    const { name } = metrics[metric];
    let value: number;
    try {
      value = metrics[metric].compute(tally, options[metric]);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    if (Number.isFinite(value)) return value;
    throw new UserError({
      kind: "plugin",
      what: `Metric "${name}" gave ${value}`,
      where: "compute",
      fix: "throw where the metric is undefined, and say why",
    });
  };
  const { unit, count } = unitsOf(runs[0]);
  const times = new Float64Array(count).fill(1);
  const plans = runs.map((rows) => new TallyPlan(rows));
  const results = plans.map((plan) => {
    const tally = plan.count(times, unit);
    return metrics.map((_, metric): Replicates => {
      const value = compute(metric, tally);
      return typeof value === "string"
        ? { undefined: value }
        : { value, samples: new Float64Array(resamples).fill(NaN) };
    });
  });
  const draw = indexSource(rng);
  for (let resample = 0; resample < resamples; resample++) {
    times.fill(0);
    for (let drawn = 0; drawn < count; drawn++) times[draw(count)]++;
    plans.forEach((plan, run) => {
      const tally = plan.count(times, unit);
      results[run].forEach((result, metric) => {
        if ("undefined" in result) return;
        const value = compute(metric, tally);
        if (typeof value === "number") result.samples[resample] = value;
      });
    });
  }
  return results.map((run) => new Map(run.map((result, metric) => [metrics[metric].name, result])));
}

/** Number of groups that are resampled as wholes; none where each row is drawn by itself. */
export function groupCount(rows: readonly { readonly group?: string }[]): number {
  const { count, grouped } = unitsOf(rows);
  return grouped ? count : 0;
}

/**
 * What is drawn as one: a group, or a row that is in none. Where all rows are in one group, as with the questions of a
 * single subject, there is nothing to draw but its rows.
 */
export function unitsOf(
  rows: readonly { readonly group?: string }[],
): { unit: Int32Array; count: number; grouped: boolean } {
  const groups = new Map<string, number>();
  let count = 0;
  const unit = Int32Array.from(rows, ({ group }) => {
    if (group === undefined) return count++;
    if (!groups.has(group)) groups.set(group, count++);
    return groups.get(group)!;
  });
  if (count > 1 && groups.size > 0) return { unit, count, grouped: true };
  return { unit: Int32Array.from(rows, (_, index) => index), count: rows.length, grouped: false };
}

/**
 * The middle 95 % of a metric's resamples, of which at most a twentieth has no value.
 *
 * A resample repeats rows, which makes it noisier than the rows themselves, and so a calibration error larger on it. This
 * bias, the distance from the value to the median of the resamples, is taken off; where all values lie in [0, 1], so do
 * the ends.
 */
export function interval(
  value: number,
  samples: Float64Array,
): { readonly low: number | null; readonly high: number | null } {
  const defined = samples.filter((sample) => !Number.isNaN(sample)).sort();
  if (defined.length === 0 || defined.length < LEAST * samples.length) return { low: null, high: null };
  const bias = quantile(defined, 0.5) - value;
  const unit = value >= 0 && value <= 1 && samples.every((sample) => !(sample < 0 || sample > 1));
  const end = (share: number) => {
    const at = quantile(defined, share) - bias;
    return unit ? Math.min(1, Math.max(0, at)) : at;
  };
  return { low: end(0.025), high: end(0.975) };
}

/** Standard deviation of a value over resamples, of which at most a twentieth has none; else NaN. */
export function standardError(samples: Float64Array): number {
  const defined = samples.filter((sample) => !Number.isNaN(sample));
  if (defined.length < 2 || defined.length < LEAST * samples.length) return NaN;
  const mean = defined.reduce((sum, sample) => sum + sample, 0) / defined.length;
  return Math.sqrt(defined.reduce((sum, sample) => sum + (sample - mean) ** 2, 0) / (defined.length - 1));
}

/** Value below which a share of sorted numbers lies, by linear interpolation. */
export function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}

/** Whole numbers in [0, below). The bias is below / 2^32, far less than what a resample can show. */
function indexSource(rng: Rng): (below: number) => number {
  const uniform = uniformSource(rng);
  return (below) => Math.floor(uniform() * below);
}

/**
 * Numbers in [0, 1), in steps of 2^-32, as millions of them are drawn: xoshiro128** (Blackman & Vigna, ACM TOMS 47(4),
 * 2021) with a state from `rng`.
 */
export function uniformSource(rng: Rng): () => number {
  let a = rng.integer(2 ** 32 - 1), b = rng.integer(2 ** 32 - 1), c = rng.integer(2 ** 32 - 1), d = 1;
  return () => {
    const product = Math.imul(b, 5), next = Math.imul(product << 7 | product >>> 25, 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = d << 11 | d >>> 21;
    return next / 2 ** 32;
  };
}
