import type { Estimate, Undefined } from "../core/mod.ts";

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
