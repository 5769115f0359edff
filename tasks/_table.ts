import type { Estimate, Means, Summary, Undefined } from "../core/mod.ts";
import type { EvaluateResult, Evaluation } from "./evaluate.ts";

/** A table with its columns padded, the first ones to the left, the others to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], left = 1): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => [...row[column]].length)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => column < left ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))
      .join("  ");
  return [line(header), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

/** `0.123 [0.101, 0.145]`, or a dash where the metric is undefined. */
export function cell(estimate: Estimate | Undefined): string {
  if ("undefined" in estimate) return "–";
  const { value, low, high } = estimate;
  return low === null || high === null
    ? value.toFixed(3)
    : `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}

/** Columns that a terminal has. */
const WIDTH = 110;

/** A table whose columns, where they do not fit beside each other, go on in further tables with the same first column. */
export function wideTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => [...row[column]].length)));
  const blocks: number[][] = [];
  let taken = 0;
  for (let column = 1; column < header.length; column++) {
    if (blocks.length === 0 || taken + 2 + widths[column] > WIDTH) {
      blocks.push([]);
      taken = widths[0];
    }
    blocks.at(-1)!.push(column);
    taken += 2 + widths[column];
  }
  const pick = (row: readonly string[], columns: readonly number[]) => [0, ...columns].map((i) => row[i]);
  return blocks.map((columns) => table(pick(header, columns), rows.map((row) => pick(row, columns)))).join(
    "\n\n",
  );
}

/** Which end of a metric's scale is good, by its name. */
export type Better = Readonly<Record<string, "higher" | "lower">>;

/** A metric with the direction that is good, as in `ece ↓`. */
export function directed(name: string, better: Better): string {
  return name in better ? `${name} ${better[name] === "higher" ? "↑" : "↓"}` : name;
}

/** The result of an evaluation: a row a metric; for a collection, a row a dataset, then the means. */
export function metricsTable({ evaluations, means }: EvaluateResult, better: Better = {}): string {
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
