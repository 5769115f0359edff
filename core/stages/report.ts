/** A report of one or more evaluations: one HTML file that needs nothing else. */
import {
  type CorrectedMetric,
  DECISIONS,
  type LabelerQuality,
  QUALITY_TITLES,
  type QualityName,
} from "../audit.ts";
import type { Estimate, Undefined } from "../bootstrap.ts";
import { reliabilityChart, riskCoverageChart } from "../charts.ts";
import type { PredictionRow } from "../predictions.ts";
import type { Metric } from "../types.ts";
import { type Means, scoredRows, type Summary, type TaskMeans } from "./summarise.ts";

/** One evaluation to report. */
export interface ReportedRun {
  /** As it stands above its column, e.g. "before". */
  readonly title: string;
  /** Its metrics are the rows of the table. */
  readonly summary: Summary;
  /** What the diagrams are drawn from. */
  readonly predictions: readonly PredictionRow[];
  /** Each dataset by itself, where the run has several. */
  readonly parts?: readonly { readonly title: string; readonly summary: Summary }[];
  /** Means over these datasets. */
  readonly means?: TaskMeans;
  /** An audit of its labels, where there is one. */
  readonly audit?: ReportedAudit;
  /** Settings worth knowing: model, adapter, temperature. */
  readonly about: Readonly<Record<string, string>>;
}

/** What a human's judgements of some labels say of a run's answers. */
export interface ReportedAudit {
  /** Of the labeler, on these answers. */
  readonly quality: LabelerQuality;
  /** By name of the metric. */
  readonly metrics: ReadonlyMap<string, CorrectedMetric>;
}

/** Wrong answers that are listed, the most confident ones. */
const LISTED = 10;

/**
 * Text of the report.
 *
 * @param metrics those in the summaries, for which end of their scales is good and what they are
 */
export async function renderReport(
  heading: string,
  runs: readonly ReportedRun[],
  metrics: readonly Pick<Metric, "name" | "better" | "description">[] = [],
): Promise<string> {
  const scored = runs.map(({ predictions }) => scoredRows(predictions));
  const diagrams = await Promise.all(runs.map(({ title }, index) => reliabilityChart(title, scored[index])));
  const risk = await riskCoverageChart(runs.map(({ title }, index) => ({ title, pairs: scored[index] })));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(heading)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(heading)}</h1>
${metricRows(runs, metrics)}
${verdicts(runs)}
<h2>Reliability</h2>
<p>How often answers of a given confidence are correct. On the diagonal, confidence can be taken at its word. Bars are
95&nbsp;% intervals; the strip below counts the answers.</p>
<div class="charts">${diagrams.map((svg) => `<figure>${svg}</figure>`).join("\n")}</div>
<h2>Risk and coverage</h2>
<p>Share of wrong answers among those that remain when the least confident ones are withheld.</p>
<figure>${risk}</figure>
${runs.map(parts).join("\n")}
${runs.map(audit).join("\n")}
${runs.map(confidentErrors).join("\n")}
<h2>Settings</h2>
${settings(runs)}
</body>
</html>
`;
}

function metricRows(
  runs: readonly ReportedRun[],
  metrics: readonly Pick<Metric, "name" | "better" | "description">[],
): string {
  const names = [...new Set(runs.flatMap(({ summary }) => Object.keys(summary.metrics)))];
  const known = new Map(metrics.map((metric) => [metric.name, metric]));
  const arrow = (name: string) => known.has(name) ? known.get(name)!.better === "higher" ? " ↑" : " ↓" : "";
  const rows = names.map((name) => [
    name + arrow(name),
    ...runs.map(({ summary }) => name in summary.metrics ? cell(summary.metrics[name]) : "–"),
  ]);
  const counts = [
    ["questions", ...runs.map(({ summary }) => String(summary.n))],
    ["undecided", ...runs.map(({ summary }) => String(summary.undecided))],
    ["no confidence", ...runs.map(({ summary }) => String(summary.unscored))],
  ];
  const described = names.flatMap((name) => {
    const metric = known.get(name);
    return metric === undefined ? [] : [`<dt>${escape(name)}</dt><dd>${escape(metric.description)}</dd>`];
  });
  return `${table(["", ...runs.map(({ title }) => title)], [...counts, ...rows])}
<p class="note">Brackets hold 95&nbsp;% intervals, by bootstrap over ${
    resampled(runs)
  }. Confidence is P(correct), the
probability that the answer is right. Arrows point to the good end of a scale.</p>
${
    described.length === 0
      ? ""
      : `<details><summary>What the metrics are</summary><dl>${described.join("")}</dl></details>`
  }`;
}

/** What the intervals are over, in words. */
function resampled(runs: readonly ReportedRun[]): string {
  const counts = [...new Set(runs.map(({ summary }) => summary.groups))];
  if (counts.every((count) => count === 0)) return "the questions";
  return counts.length === 1
    ? `${counts[0]} groups of questions`
    : "groups of questions where a run has them";
}

/** Says in words when confidence tells right from wrong no better than a coin, or cannot be judged. */
function verdicts(runs: readonly ReportedRun[]): string {
  const lines = runs.flatMap((
    { title, summary },
  ) => [...unscoredVerdict(title, summary), ...aurocVerdict(title, summary)]);
  return lines.map((line) => `<p>${escape(line)}</p>`).join("\n");
}

function unscoredVerdict(title: string, { n, unscored, correct }: Summary): string[] {
  if (unscored === 0) return [];
  const all = n + unscored;
  return [
    `${title}: ${unscored} of ${all} decided answers have no confidence, and no metric counts them. ` +
    `Of all ${all}, ${correct} are correct (${(100 * correct / all).toFixed(1)} %).`,
  ];
}

function aurocVerdict(title: string, { metrics }: Summary): string[] {
  const auroc = metrics.auroc;
  if (auroc !== undefined && "undefined" in auroc) {
    return [
      `${title}: whether confidence tells right answers from wrong ones cannot be said. ${auroc.undefined}.`,
    ];
  }
  if (auroc === undefined || auroc.low === null || auroc.high === null || auroc.low > 0.5) return [];
  const worse = auroc.high < 0.5 ? "worse than chance" : "no better than chance";
  return [`${title}: confidence tells right answers from wrong ones ${worse} (AUROC ${cell(auroc)}).`];
}

function parts({ title, parts = [], means }: ReportedRun): string {
  if (parts.length === 0) return "";
  const names = Object.keys(parts[0].summary.metrics);
  const rows = parts.map(({ title, summary }) => [
    title,
    String(summary.n),
    ...names.map((name) => cell(summary.metrics[name])),
  ]);
  const total = String(parts.reduce((sum, { summary }) => sum + summary.n, 0));
  const meanRow = (title: string, values: Means) => [
    title,
    total,
    ...names.map((name) => values[name] ? cell(values[name]) : "–"),
  ];
  const meanRows = means
    ? [meanRow("mean over datasets", means.unweighted), meanRow("mean over questions", means.weighted)]
    : [];
  return `<h2>Dataset by dataset: ${escape(title)}</h2>\n${
    table(["dataset", "N", ...names], [...rows, ...meanRows])
  }`;
}

/** How good the labeler is, and what the metrics would be without its errors. */
function audit({ title, audit }: ReportedRun): string {
  if (audit === undefined) return "";
  const { quality: { rows, judged, labeledAccuracy, shares }, metrics } = audit;
  const { accuracy, ...rates } = shares;
  const confusion = DECISIONS.filter((decision) => rows[decision] > 0).map((decision) => [
    `labelled ${decision}`,
    ...DECISIONS.map((human) => String(judged[decision][human])),
    String(rows[decision]),
  ]);
  const corrected = [
    ["accuracy", labeledAccuracy?.toFixed(3) ?? "–", cell(accuracy)],
    ...[...metrics].map(([name, { labeled, corrected }]) => [
      name,
      labeled?.toFixed(3) ?? "–",
      cell(corrected),
    ]),
  ];
  return `<h2>The labeler, audited: ${escape(title)}</h2>
<p>A human has judged a random sample of the labeler's decisions.</p>
${table(["", "human: correct", "human: wrong", "human: undecided", "of rows"], confusion)}
${
    table(
      ["the labeler", "share"],
      Object.entries(rates).map(([name, share]) => [QUALITY_TITLES[name as QualityName], cell(share)]),
    )
  }
${table(["", "by the labeler", "corrected"], corrected)}
<p class="note">Corrected is what a human's decisions on all answers would give, estimated from the sample. Brackets
hold 95&nbsp;% intervals, which cover the choice of the questions and of the sample.</p>`;
}

/** A row with a confidence. */
type Sure = PredictionRow & { readonly pCorrect: number };

function confidentErrors({ title, predictions }: ReportedRun): string {
  const wrong = predictions.flatMap(({ label, pCorrect, context, output, target }) =>
    label === 0 && pCorrect !== null ? [{ confidence: pCorrect, context, output, target }] : []
  ).toSorted((a, b) => b.confidence - a.confidence).slice(0, LISTED);
  if (wrong.length === 0) return "";
  const rows = wrong.map(({ confidence, context, output, target }) => [
    confidence.toFixed(3),
    context,
    output,
    target,
  ]);
  return `<h2>Wrong but confident: ${escape(title)}</h2>
${table(["P(correct)", "question", "answer", "right answer"], rows)}`;
}

function settings(runs: readonly ReportedRun[]): string {
  const names = [...new Set(runs.flatMap(({ about }) => Object.keys(about)))];
  return table(
    ["", ...runs.map(({ title }) => title)],
    names.map((name) => [name, ...runs.map(({ about }) => about[name] ?? "")]),
  );
}

function cell(estimate: Estimate | Undefined): string {
  if ("undefined" in estimate) return `undefined: ${estimate.undefined}`;
  const { value, low, high } = estimate;
  return low === null || high === null
    ? value.toFixed(3)
    : `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = header.map((text) => `<th>${escape(text)}</th>`).join("");
  const body = rows.map((row) => `<tr>${row.map((text) => `<td>${escape(text)}</td>`).join("")}</tr>`).join(
    "\n",
  );
  return `<div class="wide"><table><thead><tr>${head}</tr></thead>\n<tbody>${body}</tbody></table></div>`;
}

/** Questions and answers come from models and strangers' files, so nothing of them may act as HTML. */
function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

// Charts come with black text and grey lines of their own, which would not show on a dark page.
const STYLE = `
:root { --ink: #222; --faint: #555; --line: #ddd; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --faint: #aaa; --line: #444; --page: #1a1a1a; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { color: var(--ink); background: var(--page); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: pre-line; } dt { font-weight: 600; } dd { margin: 0 0 .4rem; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }
.note { color: var(--faint); font-size: .9rem; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); }
svg .role-axis-grid line { stroke: var(--line); }
`;
