/** Tables of metrics, as the tasks print them. */
import type { Means, Summary, TaskMeans } from "../core/mod.ts";
import type { Evaluation } from "./_evaluation.ts";
import { type Better, cell, directed, table, wideTable } from "./_table.ts";

/** What an evaluation came to, on one dataset or on several. */
export interface Evaluated {
  readonly evaluations: readonly Evaluation[];
  readonly means?: TaskMeans;
  readonly answerLogitsMeans?: TaskMeans;
}

/** The result of an evaluation: a row a metric; for a collection, a row a dataset, then the means. */
export function metricsTable(
  { evaluations, means, answerLogitsMeans }: Evaluated,
  better: Better = {},
): string {
  const [first] = evaluations;
  const ofOptions = evaluations.flatMap(({ answerLogits, ...about }) =>
    answerLogits ? [{ ...about, ...answerLogits }] : []
  );
  // Where no answer has a confidence, one line says it for all metrics.
  const notes = evaluations.filter(({ n }) => n > 0).flatMap(({ dataset, metrics }) =>
    Object.entries(metrics).flatMap(([name, value]) =>
      "undefined" in value ? [`${dataset}: no ${name}: ${value.undefined}`] : []
    )
  );
  return [
    evaluations.length === 1 ? metricRows(first, better) : datasetRows(evaluations, means, better),
    intervalNote(evaluations),
    ...evaluations.flatMap(unscoredNote),
    ...(evaluations.length === 1 ? answerLogitsNote(first) : []),
    ...notes,
    ...(evaluations.length > 1 && ofOptions.length > 0
      ? ["", "By the logits of the options alone:", "", datasetRows(ofOptions, answerLogitsMeans, better)]
      : []),
  ].join("\n");
}

/** What is counted before any metric. */
const COUNTED = { "N": "n", "undecided": "undecided", "unscored": "unscored" } as const;

function metricRows({ dataset, split, metrics, ...about }: Evaluation, better: Better): string {
  return table(["", `${dataset} ${split}`], [
    ...Object.entries(COUNTED).map(([title, key]) => [title, String(about[key])]),
    ...Object.entries(metrics).map(([name, value]) => [directed(name, better), cell(value)]),
  ]);
}

function datasetRows(
  evaluations: readonly Evaluation[],
  means: TaskMeans | undefined,
  better: Better,
): string {
  const names = Object.keys(evaluations[0].metrics), counted = Object.values(COUNTED);
  const total = counted.map((key) =>
    String(evaluations.reduce((sum, evaluation) => sum + evaluation[key], 0))
  );
  const meanRow = (title: string, values: Means) => [
    title,
    ...total,
    ...names.map((name) => values[name] === null ? "–" : cell(values[name])),
  ];
  const header = ["dataset", ...Object.keys(COUNTED), ...names.map((name) => directed(name, better))];
  return wideTable(header, [
    ...evaluations.map(({ dataset, split, metrics, ...about }) => [
      `${dataset} ${split}`,
      ...counted.map((key) => String(about[key])),
      ...names.map((name) => cell(metrics[name])),
    ]),
    ...(means
      ? [meanRow("mean over datasets", means.unweighted), meanRow("mean over questions", means.weighted)]
      : []),
  ]);
}

function intervalNote(evaluations: readonly Evaluation[]): string {
  const groups = evaluations.map(({ groups }) => groups);
  const over = groups.every((count) => count === 0)
    ? "questions"
    : evaluations.length === 1
    ? `${groups[0]} groups of questions`
    : "groups of questions, or questions where there are none";
  return `95 % intervals in brackets, by bootstrap over ${over}; confidence is P(correct).`;
}

function unscoredNote({ dataset, n, unscored }: Evaluation): string[] {
  return unscored === 0 ? [] : [
    `${dataset}: ${unscored} of ${n + unscored} decided answers have no confidence; no metric counts them`,
  ];
}

function answerLogitsNote({ dataset, answerLogits }: Evaluation): string[] {
  if (!answerLogits) return [];
  const values = Object.entries(answerLogits.metrics).map(([name, value]) => `${name} ${cell(value)}`);
  return [`${dataset}: by the logits of the options alone, ${values.join(", ")}`];
}

/** One evaluation beside another, metric by metric. */
export function beforeAfterTable(before: Summary, after: Summary): string {
  const rows = Object.keys(after.metrics).map((
    name,
  ) => [name, cell(before.metrics[name]), cell(after.metrics[name])]);
  return table(["", "before", "after"], [["N", String(before.n), String(after.n)], ...rows]);
}
