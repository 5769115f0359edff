/** Tables of metrics, as the tasks print them. */
import type { Means, Summary, TaskMeans } from "../core/mod.ts";
import type { Evaluation } from "./_evaluation.ts";
import { type Better, cell, directed, table, wideTable } from "./_table.ts";

/** The result of an evaluation: a row a metric; for a collection, a row a dataset, then the means. */
export function metricsTable(
  { evaluations, means }: { readonly evaluations: readonly Evaluation[]; readonly means?: TaskMeans },
  better: Better = {},
): string {
  const names = Object.keys(evaluations[0].metrics);
  const titles = names.map((name) => directed(name, better));
  const counted = ["N", "undecided", "unscored"];
  const columns = evaluations.map(({ dataset, split, n, undecided, unscored, metrics }) => [
    `${dataset} ${split}`,
    ...[n, undecided, unscored].map(String),
    ...names.map((name) => cell(metrics[name])),
  ]);
  const total = (key: "n" | "undecided" | "unscored") =>
    String(evaluations.reduce((sum, evaluation) => sum + evaluation[key], 0));
  const meanRow = (title: string, values: Means) => [
    title,
    ...[total("n"), total("undecided"), total("unscored")],
    ...names.map((name) => values[name] === null ? "–" : cell(values[name])),
  ];
  const header = ["", ...counted, ...titles];
  const shown = evaluations.length === 1
    ? table(["", columns[0][0]], header.slice(1).map((title, index) => [title, columns[0][index + 1]]))
    : wideTable(["dataset", ...header.slice(1)], [
      ...columns,
      ...(means
        ? [meanRow("mean over datasets", means.unweighted), meanRow("mean over questions", means.weighted)]
        : []),
    ]);
  // Where no answer has a confidence, one line says it for all metrics.
  const notes = evaluations.filter(({ n }) => n > 0).flatMap(({ dataset, metrics }) =>
    Object.entries(metrics).flatMap(([name, value]) =>
      "undefined" in value ? [`${dataset}: no ${name}: ${value.undefined}`] : []
    )
  );
  return [
    shown,
    intervalNote(evaluations),
    ...evaluations.flatMap(unscoredNote),
    ...evaluations.flatMap(answerLogitsNote),
    ...notes,
  ].join("\n");
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
