import type { Estimate, Summary, Undefined } from "../core/mod.ts";
import type { EvaluateResult, Means } from "./evaluate.ts";

/** A table with its columns padded, the first to the left, the others to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => [...row[column]].length)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))
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

/** The result of an evaluation: a row a dataset, then the means. */
export function metricsTable({ evaluations, means }: EvaluateResult): string {
  const names = Object.keys(evaluations[0].metrics);
  const rows = evaluations.map(({ dataset, split, n, undecided, metrics }) => [
    `${dataset} ${split}`,
    String(n),
    ...names.map((name) => cell(metrics[name])),
    String(undecided),
  ]);
  const total = evaluations.reduce((sum, { n }) => sum + n, 0);
  const meanRow = (title: string, values: Means) => [
    title,
    String(total),
    ...names.map((name) => values[name] === null ? "–" : values[name].toFixed(3)),
    "",
  ];
  if (means) {
    rows.push(
      meanRow("mean over datasets", means.unweighted),
      meanRow("mean over questions", means.weighted),
    );
  }
  const notes = evaluations.flatMap(({ dataset, metrics }) =>
    Object.entries(metrics).flatMap(([name, value]) =>
      "undefined" in value ? [`${dataset}: no ${name}: ${value.undefined}`] : []
    )
  );
  return [
    table(["dataset", "N", ...names, "undecided"], rows),
    "95 % intervals in brackets, by bootstrap over questions; confidence is P(correct).",
    ...notes,
  ].join("\n");
}

/** One evaluation beside another, metric by metric. */
export function beforeAfterTable(before: Summary, after: Summary): string {
  const rows = Object.keys(after.metrics).map((
    name,
  ) => [name, cell(before.metrics[name]), cell(after.metrics[name])]);
  return table(["", "before", "after"], [["N", String(before.n), String(after.n)], ...rows]);
}
