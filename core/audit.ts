/**
 * How good a labeler is, and what its errors do to the metrics, from rows that a human has judged too.
 *
 * The rows are a random sample within each of the labeler's decisions, so a judged row stands for as many rows as its
 * decision has for each judged one. Shares of all answers are post-stratified in this way (Cochran, Sampling
 * Techniques, 1977, ch. 5), which is what the estimator of Rogan & Gladen (1978) becomes on such a sample. A metric is
 * corrected by predict-then-debias (Kluger et al., arXiv 2501.18577, after the prediction-powered inference of Angelopoulos et
 * al., Science 382, 2023): its value on all rows by the labeler, plus what the human changes it by on the judged ones.
 */
import {
  type Estimate,
  interval,
  quantile,
  RESAMPLES,
  type Undefined,
  uniformSource,
  unitsOf,
} from "./bootstrap.ts";
import { resolveOptions } from "./options.ts";
import type { Label } from "./records.ts";
import type { Rng } from "./rng.ts";
import { TallyPlan } from "./tally.ts";
import type { Metric, Scored } from "./types.ts";

/** A labelled row, perhaps one that a human has judged. */
export interface AuditRow {
  /** The labeler's decision. */
  readonly label: Label;
  /** The human's: null who could not decide; absent where none was asked. */
  readonly human?: Label;
  /** Confidence in the answer, in [0, 1], where it is known. */
  readonly pCorrect?: number | null;
  /** Rows that belong together are resampled together. */
  readonly group?: string;
}

/** What labeler and human can say of an answer. */
export type Decision = "correct" | "wrong" | "undecided";

/** All of them, in the order of tables. */
export const DECISIONS: readonly Decision[] = ["correct", "wrong", "undecided"];

/** Number of rows with each decision. */
export type DecisionCounts = Readonly<Record<Decision, number>>;

/**
 * Shares that say how good a labeler is. Sensitivity is the share of correct answers that are labelled correct,
 * specificity that of wrong ones labelled wrong, both of those that labeler and human decided; accuracy, the share of
 * correct answers among all that a human can decide.
 */
export type QualityName =
  | "agreement"
  | "correctWhenLabelledCorrect"
  | "wrongWhenLabelledWrong"
  | "sensitivity"
  | "specificity"
  | "accuracy";

/** How good a labeler is. */
export interface LabelerQuality {
  /** All rows, by the labeler's decision. */
  readonly rows: DecisionCounts;
  /** The judged rows: by the labeler's decision, then by the human's. */
  readonly judged: Readonly<Record<Decision, DecisionCounts>>;
  /** Share of correct answers among those the labeler decided; null where it decided none. */
  readonly labeledAccuracy: number | null;
  /** By name, each in [0, 1] with its 95 % interval. */
  readonly shares: Readonly<Record<QualityName, Estimate | Undefined>>;
}

/** A metric as the labeler has it, and corrected. */
export interface CorrectedMetric {
  /** On all rows, by the labeler's decisions. */
  readonly labeled: number | null;
  /** What a human's decisions would give, with its 95 % interval. */
  readonly corrected: Estimate | Undefined;
}

/** A confusion matrix: weight of rows by the labeler's decision, then the human's. */
type Confusion = readonly (readonly [correct: number, wrong: number, undecided: number])[];

/** Each share: what it is computed from, over which of the labeler's decisions, and what it is a share of. */
const SHARES = [
  {
    name: "agreement",
    title: "agreement of labeler and human",
    strata: [0, 1],
    whole: "rows that labeler and human both decided",
    parts: ([c, w]: Confusion) => [c[0] + w[1], c[1] + w[0]],
  },
  {
    name: "correctWhenLabelledCorrect",
    title: "correct when labelled correct",
    strata: [0],
    whole: "rows labelled correct that the human decided",
    parts: ([c]: Confusion) => [c[0], c[1]],
  },
  {
    name: "wrongWhenLabelledWrong",
    title: "wrong when labelled wrong",
    strata: [1],
    whole: "rows labelled wrong that the human decided",
    parts: ([, w]: Confusion) => [w[1], w[0]],
  },
  {
    name: "sensitivity",
    title: "labelled correct when correct",
    strata: [0, 1],
    whole: "correct answers that the labeler decided",
    parts: ([c, w]: Confusion) => [c[0], w[0]],
  },
  {
    name: "specificity",
    title: "labelled wrong when wrong",
    strata: [0, 1],
    whole: "wrong answers that the labeler decided",
    parts: ([c, w]: Confusion) => [w[1], c[1]],
  },
  {
    name: "accuracy",
    title: "accuracy, corrected",
    strata: [0, 1, 2],
    whole: "answers that the human decided",
    parts: ([c, w, u]: Confusion) => [c[0] + w[0] + u[0], c[1] + w[1] + u[1]],
  },
] as const;

/** What each share is called in tables. */
export const QUALITY_TITLES: Readonly<Record<QualityName, string>> = Object.fromEntries(
  SHARES.map(({ name, title }) => [name, title]),
) as Record<QualityName, string>;

/** Index of a decision in {@linkcode DECISIONS}. */
const decisionOf = (label: Label): number => label === null ? 2 : 1 - label;

/**
 * Rows for a human to judge, as indices; in random order, so that the order says nothing of the labels.
 *
 * Each decision of the labeler gets a share that grows with the root of its number of rows (Bankier, The American
 * Statistician 42(3), 1988), so that rare ones are judged often enough. They are dealt out by Sainte-Laguë's rule, by
 * which a larger sample of the same seed holds the smaller one.
 *
 * @throws {RangeError} if there are fewer rows than asked for
 */
export function auditSample(labels: readonly Label[], count: number, rng: Rng): number[] {
  if (count > labels.length) throw new RangeError(`there are ${labels.length} rows, not ${count}`);
  const order = rng.permutation(labels.length);
  const strata = DECISIONS.map((_, decision) =>
    order.filter((index) => decisionOf(labels[index]) === decision)
  );
  const taken = strata.map(() => 0);
  const quotient = (decision: number) => {
    const { length } = strata[decision];
    return taken[decision] < length ? Math.sqrt(length) / (2 * taken[decision] + 1) : 0;
  };
  for (let dealt = 0; dealt < count; dealt++) {
    taken[[0, 1, 2].reduce((best, decision) => quotient(decision) > quotient(best) ? decision : best)]++;
  }
  const chosen = new Set(strata.flatMap((rows, decision) => rows.slice(0, taken[decision])));
  return order.filter((index) => chosen.has(index));
}

/**
 * The labeler's confusion matrix, its rates, and the corrected accuracy.
 *
 * Intervals are the middle 95 % of a posterior: rows are reweighed by the Bayesian bootstrap (Rubin, The Annals of
 * Statistics 9(1), 1981), together with Jeffreys' prior, half a correct and half a wrong answer for each decision of the
 * labeler, without which they would have no width where human and labeler always agree. They cover both the choice
 * of the questions and that of the judged rows.
 */
export function labelerQuality(
  rows: readonly AuditRow[],
  rng: Rng,
  resamples: number = RESAMPLES,
): LabelerQuality {
  const sample = new JudgedSample(rows);
  const shares = (weights: SampleWeights) => {
    const confusion = sample.confusion(weights.human);
    return SHARES.map(({ parts }) => {
      const [part, rest] = parts(confusion);
      return part / (part + rest);
    });
  };
  const values = shares(sample.point()), samples = values.map(() => new Float64Array(resamples));
  const draw = sample.posterior(rng);
  for (let resample = 0; resample < resamples; resample++) {
    shares(draw()).forEach((share, index) => samples[index][resample] = share);
  }
  const estimates = SHARES.map(({ name, strata, whole }, index) => {
    const missing = sample.missing(strata);
    if (missing !== undefined) return [name, { undefined: missing }];
    if (Number.isNaN(values[index])) return [name, { undefined: `there are no ${whole}` }];
    const sorted = samples[index].sort(), value = values[index];
    // A share of 0 or 1 is itself possible, though no draw is quite there.
    return [name, {
      value,
      low: Math.min(value, quantile(sorted, 0.025)),
      high: Math.max(value, quantile(sorted, 0.975)),
    }];
  });
  const counted = (indices: readonly number[], label: (row: AuditRow) => Label) => {
    const count = (decision: number) =>
      indices.filter((index) => decisionOf(label(rows[index])) === decision).length;
    return Object.fromEntries(DECISIONS.map((name, decision) => [name, count(decision)])) as DecisionCounts;
  };
  const all = counted(rows.map((_, index) => index), ({ label }) => label), decided = all.correct + all.wrong;
  return {
    rows: all,
    judged: Object.fromEntries(
      DECISIONS.map((name, decision) => [name, counted(sample.strata[decision].judged, (row) => row.human!)]),
    ) as LabelerQuality["judged"],
    labeledAccuracy: decided === 0 ? null : all.correct / decided,
    shares: Object.fromEntries(estimates) as LabelerQuality["shares"],
  };
}

/**
 * Metrics in [0, 1] as a human's decisions on all rows would give them, over the rows that have a confidence. Intervals are
 * those of {@linkcode labelerQuality}, less the bias of the resamples, as for every metric.
 */
export function correctMetrics(
  rows: readonly AuditRow[],
  metrics: readonly Metric[],
  rng: Rng,
  resamples: number = RESAMPLES,
): ReadonlyMap<string, CorrectedMetric> {
  const scored = rows.filter(({ pCorrect }) => typeof pCorrect === "number");
  const sample = new JudgedSample(scored);
  const options = metrics.map((metric) => resolveOptions(metric, {}));
  /** Values, or why there is none, of all metrics on weighted rows. */
  const measure = (labels: readonly { readonly row: number; readonly label: Label }[]) => {
    const decided = labels.flatMap(({ row, label }, unit) =>
      label === null ? [] : [{ unit, scored: { label, pCorrect: scored[row].pCorrect! } satisfies Scored }]
    );
    const plan = decided.length > 0 ? new TallyPlan(decided.map(({ scored }) => scored)) : undefined;
    const units = decided.map(({ unit }) => unit);
    return (weights: Float64Array): (number | string)[] => {
      if (!plan) return metrics.map(() => "no answer is decided");
      const tally = plan.count(weights, units);
      return metrics.map((metric, index) => {
        try {
          return metric.compute(tally, options[index]);
        } catch (error) {
          return error instanceof Error ? error.message : String(error);
        }
      });
    };
  };
  const onAll = measure(scored.map(({ label }, row) => ({ row, label })));
  const byLabeler = measure(sample.judged.map((row) => ({ row, label: scored[row].label })));
  const byHuman = measure(sample.entries.map(({ row, human }) => ({ row, label: human })));
  const measureAll = ({ rows, labeler, human }: SampleWeights) => {
    const parts = [onAll(rows), byLabeler(labeler), byHuman(human)];
    return metrics.map((_, index) => parts.map((part) => part[index]));
  };
  const corrected = ([all, labeler, human]: readonly (number | string)[]): number =>
    Number(all) + Number(human) - Number(labeler);
  const values = measureAll(sample.point()), samples = metrics.map(() => new Float64Array(resamples));
  const draw = sample.posterior(rng);
  for (let resample = 0; resample < resamples; resample++) {
    measureAll(draw()).forEach((parts, index) => samples[index][resample] = corrected(parts));
  }
  const clamp = (end: number | null) => end === null ? null : Math.min(1, Math.max(0, end));
  const missing = sample.missing([0, 1, 2]);
  return new Map(metrics.map(({ name }, index): [string, CorrectedMetric] => {
    const [all, labeler, human] = values[index], value = corrected(values[index]);
    const labeled = typeof all === "number" ? all : null;
    const reason = missing ?? reasonOf(all, "on all rows") ?? reasonOf(labeler, "on the judged rows") ??
      reasonOf(human, "on the judged rows, by the human");
    if (reason !== undefined) return [name, { labeled, corrected: { undefined: reason } }];
    const { low, high } = interval(value, samples[index]);
    return [name, { labeled, corrected: { value: clamp(value)!, low: clamp(low), high: clamp(high) } }];
  }));
}

function reasonOf(value: number | string, where: string): string | undefined {
  return typeof value === "string" ? `${value} ${where}` : undefined;
}

/** What each row counts for. */
interface SampleWeights {
  /** Of all rows. */
  readonly rows: Float64Array;
  /** Of the judged rows, which stand for all rows of their decision. */
  readonly labeler: Float64Array;
  /** Of {@linkcode JudgedSample.entries}. */
  readonly human: Float64Array;
}

/** Rows of which some are judged, and how they are reweighed. */
class JudgedSample {
  /** By the labeler's decision: indices of its rows, and of those judged. */
  readonly strata: readonly { readonly all: readonly number[]; readonly judged: readonly number[] }[];
  /** Indices of the judged rows, stratum by stratum. */
  readonly judged: readonly number[];
  /**
   * The judged rows as the human decided them; behind them the prior's, each with the confidence of a judged row: as many
   * that are correct, then as many that are wrong.
   */
  readonly entries: readonly { readonly row: number; readonly human: Label }[];
  readonly #rows: readonly AuditRow[];

  constructor(rows: readonly AuditRow[]) {
    this.#rows = rows;
    this.strata = DECISIONS.map((_, decision) => {
      const all = rows.flatMap(({ label }, index) => decisionOf(label) === decision ? [index] : []);
      return { all, judged: all.filter((index) => rows[index].human !== undefined) };
    });
    this.judged = this.strata.flatMap(({ judged }) => judged);
    this.entries = [
      ...this.judged.map((row) => ({ row, human: rows[row].human! })),
      ...this.judged.map((row) => ({ row, human: 1 as const })),
      ...this.judged.map((row) => ({ row, human: 0 as const })),
    ];
  }

  /** Which of some decisions has rows but none judged, in words. */
  missing(decisions: readonly number[]): string | undefined {
    const found = decisions.find((decision) => {
      const { all, judged } = this.strata[decision];
      return all.length > 0 && judged.length === 0;
    });
    if (found === undefined) return undefined;
    return `no row ${found === 2 ? "left undecided" : `labelled ${DECISIONS[found]}`} has been judged`;
  }

  /** Weights of {@linkcode entries} by both decisions. */
  confusion(weights: Float64Array): Confusion {
    const cells = DECISIONS.map((): [number, number, number] => [0, 0, 0]);
    this.entries.forEach(({ row, human }, index) =>
      cells[decisionOf(this.#rows[row].label)][decisionOf(human)] += weights[index]
    );
    return cells;
  }

  /** Every row counts once, and there is no prior. */
  point(): SampleWeights {
    return this.#weigh(new Float64Array(this.#rows.length).fill(1), () => 0, () => 0);
  }

  /** Draws weights from the posterior. */
  posterior(rng: Rng): () => SampleWeights {
    const uniform = uniformSource(rng), exponential = () => -Math.log(1 - uniform());
    // Half the square of a normal number: a Gamma variable of shape 1/2, as an exponential one is of shape 1.
    const half = () => exponential() * Math.cos(2 * Math.PI * uniform()) ** 2;
    const { unit, count } = unitsOf(this.#rows);
    const drawn = new Float64Array(count), weights = new Float64Array(this.#rows.length);
    return () => {
      drawn.forEach((_, index) => drawn[index] = exponential());
      weights.forEach((_, index) => weights[index] = drawn[unit[index]]);
      return this.#weigh(weights, half, uniform);
    };
  }

  #weigh(rows: Float64Array, prior: () => number, uniform: () => number): SampleWeights {
    const count = this.judged.length;
    const labeler = new Float64Array(count), human = new Float64Array(3 * count);
    let first = 0;
    for (const { all, judged } of this.strata) {
      if (judged.length === 0) continue;
      const total = all.reduce((sum, index) => sum + rows[index], 0);
      const seen = judged.reduce((sum, index) => sum + rows[index], 0);
      const correct = prior(), wrong = prior(), scale = total / (seen + correct + wrong);
      judged.forEach((row, index) => {
        labeler[first + index] = rows[row] * total / seen;
        human[first + index] = rows[row] * scale;
      });
      const any = () => first + Math.floor(uniform() * judged.length);
      human[count + any()] = correct * scale;
      human[2 * count + any()] = wrong * scale;
      first += judged.length;
    }
    return { rows, labeler, human };
  }
}
