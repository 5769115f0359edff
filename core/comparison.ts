/** Two runs on the same questions and answers: how far their metrics are apart, and whether that is chance. */
import { groupCount, replicate, RESAMPLES, standardError, type Undefined } from "./bootstrap.ts";
import { aurocDifference, normalTails } from "./delong.ts";
import { dataError } from "./files.ts";
import type { PredictionRow } from "./predictions.ts";
import type { Rng } from "./rng.ts";
import type { Metric, Scored } from "./types.ts";

/** One metric of two runs. */
export interface Difference {
  /** The metric of the first run. */
  readonly first: number;
  /** That of the second. */
  readonly second: number;
  /** The second less the first. */
  readonly value: number;
  /** Ends of its 95 % interval, 1.96 standard errors away; both null where too few resamples have a value. */
  readonly low: number | null;
  /** Likewise. */
  readonly high: number | null;
  /**
   * Probability of a difference at least as large, were there none; null where there is nothing to test, as with the
   * accuracies of the same answers.
   */
  readonly p: number | null;
  /** The same after Holm's correction for all tests of its table. */
  readonly pHolm: number | null;
}

/** Differences by name of the metric; one that is undefined for a run says why. */
export type Differences = Readonly<Record<string, Difference | Undefined>>;

/** The answers of one dataset that both runs have a label and a confidence for. */
export interface Matched {
  /** Name of the dataset. */
  readonly name: string;
  /** With the first run's confidence. */
  readonly first: readonly Scored[];
  /** The same answers in the same order, with the second run's. */
  readonly second: readonly Scored[];
  /** Answers of either run that the other has not, or that one gives no label or no confidence. */
  readonly leftOut: number;
}

/** Two runs beside each other. */
export interface Comparison {
  /** Over all datasets: of one alone its differences, of several their mean, in which each counts the same. */
  readonly overall: Differences;
  /** Of several datasets the mean in which each counts as often as it has answers. */
  readonly weighted?: Differences;
  /** For each dataset, where there are several; corrected as one table. */
  readonly datasets: readonly {
    readonly name: string;
    readonly n: number;
    readonly leftOut: number;
    /** Number of groups that are resampled as wholes; 0 where rows are. */
    readonly groups: number;
    readonly differences: Differences;
  }[];
}

const AUROC = "auroc";

/** Quantile of the standard normal distribution at 0.975. */
const Z = 1.959963984540054;

/**
 * Puts the predictions of two runs on one dataset in one order, by id.
 *
 * @throws {UserError} of kind `data` where the runs judge different answers or labels, or share no question
 */
export function matchPredictions(
  name: string,
  first: readonly PredictionRow[],
  second: readonly PredictionRow[],
): Matched {
  const others = new Map(second.map((row) => [row.id, row]));
  const matched: { first: Scored[]; second: Scored[] } = { first: [], second: [] };
  const differing: PredictionRow[] = [];
  let shared = 0;
  for (const row of first) {
    const other = others.get(row.id);
    if (other === undefined) continue;
    shared++;
    if (row.output !== other.output || row.label !== other.label) differing.push(row);
    const { label, group } = row;
    if (label === null || row.pCorrect === null || other.pCorrect === null) continue;
    const about = group === undefined ? { label } : { label, group };
    matched.first.push({ ...about, pCorrect: row.pCorrect });
    matched.second.push({ ...about, pCorrect: other.pCorrect });
  }
  if (shared === 0) {
    throw dataError(
      "The runs have no question in common",
      name,
      "compare runs on the same dataset and split",
    );
  }
  if (differing.length > 0) {
    const [{ id, output, label }] = differing, other = others.get(id)!;
    const said = (output: string, label: unknown) =>
      `${JSON.stringify(output)} (label ${label ?? "undecided"})`;
    throw dataError(
      `The runs judge different answers to ${differing.length} of ${shared} questions: ` +
        `${said(output, label)} and ${said(other.output, other.label)}`,
      `${name}, question ${id}`,
      "evaluate both on the same labelled answers, as with --dataset=offline:<run>/labels",
    );
  }
  if (matched.first.length === 0) {
    throw dataError(
      `Of ${shared} answers in common, none has a label and a confidence in both runs`,
      name,
      "label the answers, or compare runs that give a confidence in the same ones",
    );
  }
  return { name, ...matched, leftOut: first.length + second.length - shared - matched.first.length };
}

/**
 * Differences of metrics between a second run and a first. The standard error of a difference is DeLong's for AUROC, and
 * for every other metric that of a bootstrap in which both runs have the same answers; intervals and probabilities are
 * those of a normal distribution, so that they can be as small as a table of many tests needs them. Datasets are resampled
 * by themselves, as they are not drawn from each other.
 *
 * @param resamples of each dataset
 */
export function compareRuns(
  datasets: readonly Matched[],
  metrics: readonly Metric[],
  rng: Rng,
  resamples: number = RESAMPLES,
): Comparison {
  const names = metrics.map(({ name }) => name);
  const parts = datasets.map((dataset) => partsOf(dataset, metrics, rng, resamples));
  /** One table, whose tests are corrected together. */
  const tested = (rows: readonly (readonly Part[])[]): Differences[] => {
    const tests = corrected(rows.flat().map(testOf));
    return rows.map((_, row) =>
      Object.fromEntries(names.map((name, metric) => [name, tests[row * names.length + metric]]))
    );
  };
  const means = (weights: readonly number[]) =>
    tested([names.map((_, metric) => meanOf(parts.map((of) => of[metric]), weights))])[0];
  const counts = datasets.map(({ first }) => first.length);
  const overall = means(counts.map(() => 1)), several = datasets.length > 1;
  const differences = several ? tested(parts) : [overall];
  return {
    overall,
    ...(several ? { weighted: means(counts) } : {}),
    datasets: datasets.map(({ name, first, leftOut }, index) => ({
      name,
      n: first.length,
      leftOut,
      groups: groupCount(first),
      differences: differences[index],
    })),
  };
}

/** One metric on one dataset, before any test. */
type Part = Undefined | {
  readonly first: number;
  readonly second: number;
  /** Of their difference; NaN where it is not known. */
  readonly standardError: number;
};

function partsOf(
  { first, second }: Matched,
  metrics: readonly Metric[],
  rng: Rng,
  resamples: number,
): readonly Part[] {
  const [a, b] = replicate([first, second], metrics, rng, resamples);
  return metrics.map(({ name }): Part => {
    const one = a.get(name)!, other = b.get(name)!;
    if ("undefined" in one) return one;
    if ("undefined" in other) return other;
    return {
      first: one.value,
      second: other.value,
      standardError: name === AUROC
        ? aurocDifference(first, second).standardError
        : standardError(one.samples.map((value, index) => other.samples[index] - value)),
    };
  });
}

/** The mean over the datasets where a metric is defined, which are independent of each other. */
function meanOf(parts: readonly Part[], weights: readonly number[]): Part {
  const defined = parts.flatMap((part, index) =>
    "undefined" in part ? [] : [{ ...part, weight: weights[index] }]
  );
  if (defined.length === 0) return parts[0];
  const sum = (valueOf: (part: typeof defined[number]) => number) =>
    defined.reduce((total, part) => total + valueOf(part), 0);
  const total = sum(({ weight }) => weight);
  return {
    first: sum(({ weight, first }) => weight * first) / total,
    second: sum(({ weight, second }) => weight * second) / total,
    standardError: Math.sqrt(sum(({ weight, standardError }) => (weight * standardError) ** 2)) / total,
  };
}

function testOf(part: Part): Undefined | Omit<Difference, "pHolm"> {
  if ("undefined" in part) return part;
  const { first, second, standardError } = part;
  const value = second - first, difference = { first, second, value };
  if (Number.isNaN(standardError)) return { ...difference, low: null, high: null, p: null };
  const half = Z * standardError;
  return {
    ...difference,
    low: value - half,
    high: value + half,
    // The same whatever is drawn, as with the accuracies of the same answers: there is nothing to test.
    p: standardError === 0 ? null : normalTails(value / standardError),
  };
}

function corrected(
  tests: readonly (Undefined | Omit<Difference, "pHolm">)[],
): readonly (Undefined | Difference)[] {
  const ps = tests.flatMap((test) => "undefined" in test || test.p === null ? [] : [test.p]);
  const adjusted = holm(ps);
  let next = 0;
  return tests.map((test) =>
    "undefined" in test ? test : { ...test, pHolm: test.p === null ? null : adjusted[next++] }
  );
}

/**
 * Probabilities of several tests, raised so that a true hypothesis among them falls below a level with no more than its
 * probability (Holm, Scandinavian Journal of Statistics 6, 1979).
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { holm } from "@credence/credence";
 *
 * assertEquals(holm([0.5, 0.25, 0.125]), [0.5, 0.5, 0.375]);
 * ```
 */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((_, index) => index).sort((i, j) => ps[i] - ps[j]);
  const adjusted = new Array<number>(ps.length);
  let least = 0;
  order.forEach((index, rank) => {
    least = Math.max(least, Math.min(1, (ps.length - rank) * ps[index]));
    adjusted[index] = least;
  });
  return adjusted;
}
