import { UserError } from "./errors.ts";
import { resolveOptions } from "./options.ts";
import type { Rng } from "./rng.ts";
import type { Metric, Scored } from "./types.ts";

/** A number with the interval in which it lies 95 times in 100. */
export interface Estimate {
  /** On all rows. */
  readonly value: number;
  /** Both null where too few resamples have a value. */
  readonly low: number | null;
  /** Likewise; the 97.5th percentile. */
  readonly high: number | null;
}

/** Why a metric has no value. */
export interface Undefined {
  /** The metric's own words. */
  readonly undefined: string;
}

/** Resamples by default: the interval's ends then move by about a tenth of its width between seeds. */
export const RESAMPLES = 1000;

/**
 * Each metric with its 95 % interval: the middle of its values on resamples of the rows with replacement.
 *
 * All metrics are computed on the same resamples. A metric that is undefined on the rows, such as AUROC when all
 * labels are equal, says why; where more than a twentieth of the resamples is undefined, there is no interval.
 */
export function estimate(
  pairs: readonly Scored[],
  metrics: readonly Metric[],
  rng: Rng,
  resamples = RESAMPLES,
): Map<string, Estimate | Undefined> {
  const options = new Map(metrics.map((metric) => [metric, resolveOptions(metric, {})]));
  /** The metric's value, or why it has none. */
  const compute = (metric: Metric, rows: readonly Scored[]): number | string => {
    let value: number;
    try {
      value = metric.compute(rows, options.get(metric)!);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    if (Number.isFinite(value)) return value;
    throw new UserError({
      kind: "plugin",
      what: `Metric "${metric.name}" gave ${value}`,
      where: "compute",
      fix: "throw where the metric is undefined, and say why",
    });
  };
  const defined = new Map<Metric, { value: number; samples: number[] }>();
  const results = new Map<string, Estimate | Undefined>();
  for (const metric of metrics) {
    const value = compute(metric, pairs);
    if (typeof value === "number") defined.set(metric, { value, samples: [] });
    else results.set(metric.name, { undefined: value });
  }
  const sample: Scored[] = new Array(pairs.length);
  for (let resample = 0; resample < resamples; resample++) {
    for (let index = 0; index < pairs.length; index++) sample[index] = pairs[rng.integer(pairs.length)];
    for (const [metric, { samples }] of defined) {
      const value = compute(metric, sample);
      // One that is undefined on this resample is counted by its absence.
      if (typeof value === "number") samples.push(value);
    }
  }
  for (const [metric, { value, samples }] of defined) {
    samples.sort((a, b) => a - b);
    const enough = samples.length >= 0.95 * resamples && samples.length > 0;
    results.set(metric.name, {
      value,
      low: enough ? quantile(samples, 0.025) : null,
      high: enough ? quantile(samples, 0.975) : null,
    });
  }
  return new Map(metrics.map(({ name }) => [name, results.get(name)!]));
}

/** Value below which a share of sorted numbers lies, by linear interpolation. */
function quantile(sorted: readonly number[], share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}
