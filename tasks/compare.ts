/** `deno task compare`: whether one run's confidence is better than another's, or only seems so by chance. */
import {
  compareRuns,
  type Comparison,
  createRng,
  dataError,
  type Difference,
  type Differences,
  type Matched,
  matchPredictions,
  type Undefined,
  UserError,
} from "../core/mod.ts";
import { readEvaluations, type StoredEvaluation } from "./_evaluations.ts";
import { chooseMetrics, directions } from "./_metrics.ts";
import { defineFlags, parseFlags, splitPositionals, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { ProgressBar } from "./_progress.ts";
import type { Session } from "./_session.ts";
import { type Better, directed, table, wideTable } from "./_table.ts";
import { runTask, type Task } from "./_task.ts";

/** Flags of the task. */
export const COMPARE_FLAGS = defineFlags({
  "metric": {
    type: "string",
    help: "metric to compare, or all (the usual ones and those of --plugin); repeatable",
    repeatable: true,
  },
  "seed": { type: "number", help: "for resampling", default: 137, least: 0 },
  "plugin": { type: "string", help: "module to load first; repeatable", repeatable: true },
});

/** A run beside the first. */
export interface RunComparison extends Comparison {
  readonly run: string;
}

/** Result of the task. */
export interface CompareResult {
  /** What the others are compared with. */
  readonly first: string;
  readonly comparisons: readonly RunComparison[];
}

/** Compares runs with the first of them, each on the datasets that both were evaluated on. */
export async function compare(
  session: Session,
  runs: readonly string[],
  flags: Values<typeof COMPARE_FLAGS>,
): Promise<CompareResult> {
  const [first, ...others] = runs;
  const evaluations = await readEvaluations(first), metrics = chooseMetrics(session, flags.metric);
  const comparisons: RunComparison[] = [];
  using progress = new ProgressBar("compare");
  for (const run of others) {
    const matched = matchRuns(first, evaluations, run, await readEvaluations(run));
    progress.update(comparisons.length, others.length, run);
    comparisons.push({ run, ...compareRuns(matched, metrics, createRng(flags.seed).split("bootstrap")) });
  }
  progress.update(others.length, others.length);
  return { first, comparisons };
}

/** Datasets of the same name; where each run has a single one, these, as folders of the same answers may differ. */
function matchRuns(
  first: string,
  one: readonly StoredEvaluation[],
  second: string,
  other: readonly StoredEvaluation[],
): Matched[] {
  if (one.length === 1 && other.length === 1) {
    return [matchPredictions(one[0].title, one[0].predictions, other[0].predictions)];
  }
  const matched = one.flatMap(({ title, predictions }) => {
    const twin = other.find((evaluation) => evaluation.title === title);
    return twin === undefined ? [] : [matchPredictions(title, predictions, twin.predictions)];
  });
  const titles = (evaluations: readonly StoredEvaluation[]) =>
    evaluations.map(({ title }) => title).join(", ");
  if (matched.length === 0) {
    throw dataError(
      "The runs were evaluated on different datasets",
      `${first}: ${titles(one)}; ${second}: ${titles(other)}`,
      "evaluate both on the same dataset and split",
    );
  }
  const alone = one.length + other.length - 2 * matched.length;
  if (alone > 0) {
    note(`${alone} evaluations of ${first} or ${second} are of datasets that the other has not.`);
  }
  return matched;
}

/** What the user sees of one run beside the first. */
function comparisonText(
  first: string,
  { run, overall, weighted, datasets }: RunComparison,
  better: Better = {},
) {
  const several = datasets.length > 1;
  const n = datasets.reduce((sum, dataset) => sum + dataset.n, 0);
  const leftOut = datasets.reduce((sum, dataset) => sum + dataset.leftOut, 0);
  const groups = datasets.every((dataset) => dataset.groups === 0)
    ? "questions"
    : several
    ? "groups of questions, or questions where there are none"
    : `${datasets[0].groups} groups of questions`;
  return [
    `${run} beside ${first}: ${n} questions${several ? ` of ${datasets.length} datasets` : ""}`,
    "",
    ...(several ? ["Mean over datasets", ""] : []),
    overallTable(overall, better),
    ...(weighted ? ["", "Mean over questions", "", overallTable(weighted, better)] : []),
    ...(several
      ? [
        "",
        "Dataset by dataset: difference, its interval and p after Holm's correction",
        "",
        datasetTable(datasets, better),
      ]
      : []),
    "",
    `95 % intervals in brackets; auroc by DeLong's test, the rest by bootstrap over ${groups}.`,
    "p, Holm: corrected for all tests of its table.",
    ...(leftOut > 0
      ? [`${leftOut} answers are left out: only one run has them, or a label and a confidence for them.`]
      : []),
    ...undefinedNotes(overall),
  ].join("\n");
}

function overallTable(differences: Differences, better: Better): string {
  const rows = Object.entries(differences).map(([name, difference]) =>
    "undefined" in difference ? [directed(name, better), "–", "–", "–", "–", "–"] : [
      directed(name, better),
      difference.first.toFixed(3),
      difference.second.toFixed(3),
      change(difference),
      probability(difference.p),
      probability(difference.pHolm),
    ]
  );
  return table(["", "first", "second", "difference", "p", "p, Holm"], rows);
}

function datasetTable(datasets: Comparison["datasets"], better: Better): string {
  const names = Object.keys(datasets[0].differences);
  const cell = (difference: Difference | Undefined) =>
    "undefined" in difference ? "–" : `${change(difference)} ${probability(difference.pHolm)}`;
  return wideTable(
    ["dataset", "N", ...names.map((name) => directed(name, better))],
    datasets.map((
      { name, n, differences },
    ) => [name, String(n), ...names.map((metric) => cell(differences[metric]))]),
  );
}

/** `+0.123 [+0.101, +0.145]`. */
function change({ value, low, high }: Difference): string {
  const signed = (number: number) => `${number < 0 ? "-" : "+"}${Math.abs(number).toFixed(3)}`;
  return low === null || high === null ? signed(value) : `${signed(value)} [${signed(low)}, ${signed(high)}]`;
}

function probability(p: number | null): string {
  return p === null ? "–" : p < 0.001 ? "<0.001" : p.toFixed(3);
}

function undefinedNotes(differences: Differences): string[] {
  return Object.entries(differences).flatMap(([name, difference]) =>
    "undefined" in difference ? [`No ${name}: ${difference.undefined}`] : []
  );
}

const task: Task = {
  command: "deno task compare",
  summary:
    "Compare evaluations of the same answers: the difference of each metric from the first run, its interval, and the " +
    "probability that it is chance.",
  example: "deno task compare runs/demo-oe/before runs/demo-oe/after",
  flags: COMPARE_FLAGS,
  async run(args, session) {
    const { positionals: runs, rest } = splitPositionals(args, COMPARE_FLAGS);
    const { values } = parseFlags(this.command, COMPARE_FLAGS, rest);
    if (runs.length < 2) {
      throw new UserError({
        kind: "usage",
        what: runs.length === 0 ? "No runs were named" : `Only ${runs[0]} was named`,
        where: this.command,
        fix: "name two run folders or more, as in deno task compare runs/one runs/other",
      });
    }
    await session.loadPlugins(values.plugin);
    const result = await compare(session, runs, values);
    const texts = result.comparisons.map((run) => comparisonText(result.first, run, directions(session)));
    print(texts.join("\n\n\n"));
    return result;
  },
};

if (import.meta.main) await runTask(task);
