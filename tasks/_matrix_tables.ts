/** The tables of a matrix, as text and as Markdown. */
import type { Estimate, MatrixAnswers, MatrixCell, Undefined } from "../core/mod.ts";
import type { CellResult } from "./_matrix_stages.ts";
import type { Peer, PeerResult } from "./_matrix_peer.ts";
import { cell as estimateText, table } from "./_table.ts";

/** A table of texts. */
export interface MatrixTable {
  readonly title: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What its numbers are. */
  readonly note?: string;
}

/** The cells of one grid, with what they came to; without one where a stage failed. */
export interface GridResults {
  readonly title: string;
  readonly cells: readonly { readonly cell: MatrixCell; readonly result?: CellResult }[];
}

const NONE = "–";

/** Columns that say what a row is; those in which all rows agree are left out. */
const COLUMNS: readonly (readonly [name: string, of: (cell: MatrixCell) => string])[] = [
  ["model", ({ model }) => model],
  ["trained on", ({ training }) => training?.dataset ?? NONE],
  ["dataset", ({ evaluation }) => evaluation.dataset],
  ["train style", ({ training }) => training?.style ?? NONE],
  ["style", ({ evaluation }) => evaluation.style],
  ["trained on answers of", ({ training }) => training?.answers ?? NONE],
  ["answers of", ({ evaluation }) => evaluation.answers],
  ["data", ({ training }) => training ? shareText(training.fraction) : NONE],
];

/** All tables of a grid: every cell; and for the axes that vary, the pivots of the research code. */
export function gridTables(grid: GridResults, metrics: readonly string[]): readonly MatrixTable[] {
  return [methodTable(grid, metrics), ...pivots(grid)];
}

/** A row for each cell; seeds, and the datasets of a collection, are taken together. */
export function methodTable({ title, cells }: GridResults, metrics: readonly string[]): MatrixTable {
  const groups = groupBy(cells, ({ cell }) => JSON.stringify({ ...cell, seed: 0 }));
  const columns = COLUMNS.filter(([name, of]) => {
    if (name === "train style") {
      return cells.some(({ cell }) => cell.training && of(cell) !== cell.evaluation.style);
    }
    if (name === "trained on") {
      return cells.some(({ cell }) => cell.training && of(cell) !== cell.evaluation.dataset);
    }
    return new Set(cells.map(({ cell }) => of(cell)).filter((text) => text !== NONE)).size > 1;
  });
  const rows = groups.map((group) => {
    const bySeed = groupBy(group, ({ cell }) => String(cell.seed));
    const results = resultsOf(group);
    const leftOut = results.reduce((sum, { undecided, unscored }) => sum + undecided + unscored, 0);
    return [
      group[0].cell.method,
      ...columns.map(([, of]) => of(group[0].cell)),
      ...metrics.map((metric) => metricText(bySeed, metric)),
      meanText(results.map(({ trainSeconds }) => trainSeconds), 0),
      meanText(results.map(({ tokens }) => tokens && extraTokens(tokens)), 1),
      results.length === 0 ? NONE : String(Math.round(leftOut / bySeed.length)),
    ];
  });
  const last = ["training s", "extra tokens", "left out"];
  const header = ["method", ...columns.map(([name]) => name), ...metrics, ...last];
  return { title, header, rows, note: notes(cells, groups) };
}

function notes(cells: GridResults["cells"], groups: readonly GridResults["cells"][]): string {
  const seeds = Math.max(...groups.map((group) => new Set(group.map(({ cell }) => cell.seed)).size));
  const collected = resultsOf(cells).some(({ cell }) =>
    !cells.some((shown) => sameDataset(shown.cell, cell))
  );
  return [
    seeds > 1
      ? `Mean over ${seeds} seeds, in brackets the lowest and the highest of them.`
      : "In brackets 95 % intervals, by bootstrap over questions, or over their groups.",
    ...(collected ? ["Of a collection: mean over its datasets, each counting the same."] : []),
  ].join(" ");
}

const sameDataset = (one: MatrixCell, other: MatrixCell) =>
  one.evaluation.dataset === other.evaluation.dataset;

function resultsOf(cells: GridResults["cells"]): readonly CellResult[] {
  return cells.flatMap(({ result }) => result ? [result] : []);
}

/** Tokens that a confidence costs once the answer is there, its KV cache kept. */
function extraTokens({ read, written, kept }: NonNullable<CellResult["tokens"]>): number {
  return read + written - kept;
}

/** A metric over the cells of each seed: its mean over datasets, with the interval where there is one dataset only. */
function metricText(bySeed: readonly GridResults["cells"][], metric: string): string {
  const means: number[] = [];
  for (const cells of bySeed) {
    const results = resultsOf(cells);
    const values = results.flatMap(({ metrics }) => {
      const value = metrics[metric];
      return value && "value" in value ? [value] : [];
    });
    if (results.length < cells.length || values.length === 0) return NONE;
    if (bySeed.length === 1 && cells.length === 1) return estimateText(values[0]);
    means.push(mean(values.map(({ value }) => value)));
  }
  const spread = `[${Math.min(...means).toFixed(3)}, ${Math.max(...means).toFixed(3)}]`;
  return `${mean(means).toFixed(3)}${means.length > 1 ? ` ${spread}` : ""}`;
}

function meanText(values: readonly (number | null)[], digits: number): string {
  const there = values.flatMap((value) => value === null ? [] : [value]);
  if (there.length === 0) return NONE;
  return mean(there).toFixed(digits);
}

/** Transfer between styles, data scaling, and judging another model's answers, where the grid has them. */
function pivots({ title, cells }: GridResults): MatrixTable[] {
  const tables: MatrixTable[] = [];
  const trained = cells.filter(({ cell }) => cell.training);
  const several = (of: (cell: MatrixCell) => string | number) =>
    new Set(trained.map(({ cell }) => of(cell))).size > 1;
  if (trained.some(({ cell }) => cell.training!.style !== cell.evaluation.style)) {
    tables.push(pivot(`${title}: style transfer`, cells, {
      row: (
        cell,
      ) => [cell.method, ...who(cell), cell.training ? `trained on ${cell.training.style}` : "untrained"],
      rowNames: ["method", "model", "dataset", "training"],
      column: (cell) => `judging ${cell.evaluation.style}`,
    }));
  }
  if (
    trained.some(({ cell }) =>
      cell.model !== cell.training!.answers || cell.model !== cell.evaluation.answers
    )
  ) {
    tables.push(pivot(`${title}: cross-model`, cells, {
      row: (cell) => [
        cell.method,
        cell.model,
        cell.training ? `answers of ${cell.training.answers}` : "untrained",
        cell.evaluation.style,
      ],
      rowNames: ["method", "judge", "training", "style"],
      column: (cell) => `judging ${cell.evaluation.answers}`,
    }));
  }
  if (several((cell) => cell.training!.fraction)) {
    tables.push(pivot(`${title}: data scaling`, trained, {
      row: (cell) => [cell.method, ...who(cell), cell.evaluation.style],
      rowNames: ["method", "model", "dataset", "style"],
      column: (cell) => shareText(cell.training!.fraction),
    }));
  }
  return tables;
}

/** The judge, with whose answers it judges where they are another's; and the dataset. */
const who = ({ model, evaluation: { answers, dataset } }: MatrixCell): readonly [string, string] => [
  answers === model ? model : `${model} on ${answers}`,
  dataset,
];

interface PivotAxes {
  readonly row: (cell: MatrixCell) => readonly string[];
  readonly rowNames: readonly string[];
  readonly column: (cell: MatrixCell) => string;
}

/** Means of what falls together, as the research code writes them: accuracy / AUROC / ECE. */
function pivot(
  title: string,
  cells: GridResults["cells"],
  { row, rowNames, column }: PivotAxes,
): MatrixTable {
  const columns = [...new Set(cells.map(({ cell }) => column(cell)))];
  const groups = groupBy(cells, ({ cell }) => JSON.stringify(row(cell)));
  const shown = rowNames.map((_, at) =>
    at === 0 || new Set(groups.map(([{ cell }]) => row(cell)[at])).size > 1
  );
  const rows = groups.map((group) => [
    ...row(group[0].cell).filter((_, at) => shown[at]),
    ...columns.map((name) => meansText(group.filter(({ cell }) => column(cell) === name))),
  ]);
  const header = [...rowNames.filter((_, at) => shown[at]), ...columns];
  return { title, header, rows, note: "Accuracy / AUROC / ECE." };
}

function meansText(cells: GridResults["cells"]): string {
  const results = resultsOf(cells);
  if (cells.length === 0 || results.length < cells.length) return NONE;
  return ["accuracy", "auroc", "ece"].map((metric) => {
    const defined = results.flatMap(({ metrics }) => {
      const value = metrics[metric];
      return value && "value" in value ? [value.value] : [];
    });
    return defined.length === 0 ? NONE : mean(defined).toFixed(3);
  }).join(" / ");
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function shareText(fraction: number): string {
  return `${Number((100 * fraction).toPrecision(6))} %`;
}

/** SHA-256 of labelled answers by split, by the folder of the answers. */
export type LabelHashes = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** How recorded results of another implementation lie to ours: each beside our interval of the same seed. */
export function peerTable(peer: Peer, results: readonly CellResult[], labels: LabelHashes): MatrixTable {
  const pairs = peer.results.flatMap((theirs) => {
    const ours = results.find(({ cell }) => sameRun(cell, peer, theirs));
    return ours && sameRows(ours, peer, theirs.style, labels) ? [{ theirs, ours }] : [];
  });
  const groups = groupBy(pairs, ({ theirs: { method, style } }) => `${method} ${style}`);
  const rows = groups.flatMap((group) => {
    const [{ theirs: { method, style } }] = group;
    return ["auroc", "ece"].map((metric) => {
      const compared = group.map(({ theirs, ours }) => compare(theirs.metrics[metric], ours.metrics[metric]));
      return [
        method,
        style,
        metric,
        compared.map(({ theirs }) => theirs).join(" · "),
        compared.map(({ ours }) => ours).join(" · "),
        `${compared.filter(({ inside }) => inside).length} of ${compared.length}`,
      ];
    });
  });
  const versions = Object.entries(peer.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const seeds = [...new Set(pairs.map(({ theirs }) => theirs.seed))].join(", ");
  return {
    title: `Beside ${peer.name}`,
    header: ["method", "style", "metric", "there, by seed", "here, by seed", "inside"],
    rows,
    note:
      (pairs.length > 0
        ? `Seeds ${seeds}; inside: theirs lies within our 95 % interval of the same seed. `
        : "Nothing there was run on the answers that were judged here: record it again. ") +
      `Recorded by ${peer.script} (${versions}).`,
  };
}

/** Whether a cell is what the other implementation ran: one style, all data, the model's own answers. */
function sameRun(
  { method, model, seed, training, evaluation }: MatrixCell,
  peer: Peer,
  theirs: PeerResult,
): boolean {
  const what = ({ answers, dataset, style }: MatrixAnswers) =>
    answers === peer.model && dataset === peer.dataset && style === theirs.style;
  const same = what(evaluation) && (!training || (what(training) && training.fraction === 1));
  return method === theirs.method && model === peer.model && seed === theirs.seed && same;
}

/** Whether both read the same labelled answers, to the byte. */
function sameRows({ answers }: CellResult, peer: Peer, style: string, labels: LabelHashes): boolean {
  const theirs = peer.labels[style] ?? {}, ours = labels[answers] ?? {};
  const splits = Object.keys(ours);
  return splits.length > 0 && splits.every((split) => ours[split] === theirs[split]);
}

function compare(theirs: number, ours: Estimate | Undefined | undefined) {
  const defined = ours && "value" in ours && ours.low !== null && ours.high !== null;
  return {
    theirs: theirs.toFixed(3),
    ours: ours ? estimateText(ours) : NONE,
    inside: defined ? theirs >= ours.low! && theirs <= ours.high! : false,
  };
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return [...groups.values()];
}

/** For a terminal. */
export function textTables(tables: readonly MatrixTable[]): string {
  return tables.map(({ title, header, rows, note }) =>
    [title, "", table(header, rows), ...(note ? [note] : [])].join("\n")
  ).join("\n\n");
}

/** For a page. */
export function markdownTables(tables: readonly MatrixTable[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  return tables.map(({ title, header, rows, note }) =>
    [
      `### ${title}`,
      "",
      line(header),
      line(header.map((_, index) => index === 0 ? "---" : "---:")),
      ...rows.map(line),
      ...(note ? ["", note] : []),
    ].join("\n")
  ).join("\n\n");
}
