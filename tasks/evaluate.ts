/** `deno task evaluate`: how well a model knows when its answers are right. */
import { resolveOptions, type RunFolder, type TaskMeans } from "../core/mod.ts";
import { checkCheckpoint, noteStyle } from "./_checkpoint.ts";
import { chooseDatasets, chooseSplits, chooseStyle, openRun } from "./_common.ts";
import {
  DEFAULT_STRATEGY,
  EVALUATE_FLAGS,
  evaluateSplit,
  type Evaluation,
  OPTIONS_FILE,
  PREDICTIONS_FILE,
} from "./_evaluation.ts";
import { type FlagSet, parseFlags, peekFlag, type Values } from "./_flags.ts";
import { print } from "./_io.ts";
import { chooseLabeler, peekLabeler } from "./_labeler.ts";
import { chooseMetrics, directions, meansOf } from "./_metrics.ts";
import { metricsTable } from "./_metrics_table.ts";
import { checkStyle, chooseMode, type Mode } from "./_modes.ts";
import { optionFlags, optionsOf, peekDataset, peekMethod } from "./_options.ts";
import { asksAdapter, checkScale } from "./_scale.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

/** Result of the task. */
export interface EvaluateResult {
  readonly logDir: string;
  readonly evaluations: readonly Evaluation[];
  /** Over the datasets of a collection. */
  readonly means?: TaskMeans;
  /** The same of what the logits of the options say by themselves. */
  readonly answerLogitsMeans?: TaskMeans;
  readonly skipped: readonly string[];
}

/** Options of plugins, as they were given. */
export interface GivenOptions {
  /** Those of a method that does not train; what a checkpoint was trained with is in it. */
  readonly method?: Readonly<Record<string, unknown>>;
  readonly labeler?: Readonly<Record<string, unknown>>;
  /** The labeler that has labelled the answers, and by which a method may compare others with them. */
  readonly strategy?: string;
  readonly dataset?: Readonly<Record<string, unknown>>;
}

/** Evaluates a dataset, or each member of a collection. */
export async function evaluate(
  session: Session,
  flags: Values<typeof EVALUATE_FLAGS>,
  run: RunFolder,
  whenChanged: "refuse" | "redo" = "refuse",
  given: GivenOptions = {},
): Promise<EvaluateResult> {
  const mode = chooseMode(flags.mode);
  const style = chooseStyle(session, flags["prompt-style"]);
  checkStyle(flags.mode, mode, style.name);
  const { plugin: method } = session.registry.get(
    "method",
    flags.method ?? methodOf(mode, asksAdapter(flags)),
  );
  checkScale(flags["scale-temp"], method.name, flags["query-peft-dir"] !== undefined, mode.answerLogits);
  const preset = method.name === mode.method ? mode.options : {};
  const options = resolveOptions(method, { ...preset, ...given.method });
  const labeler = await chooseLabeler(
    session,
    flags.strategy ?? given.strategy ?? strategyOf(mode),
    given.labeler ?? {},
  );
  const datasets = await chooseDatasets(session, flags.dataset, {
    dataDir: flags["data-dir"],
    promptStyle: style.name,
    options: given.dataset,
  });
  const { "query-peft-dir": peft } = flags;
  if (peft !== undefined) {
    await checkCheckpoint(session, flags["model-name"], await session.adapterFolder(peft));
  }
  const evaluations: Evaluation[] = [], skipped: string[] = [];
  for (const chosen of datasets) {
    for (const split of chooseSplits(flags.splits, chosen.dataset)) {
      const part = { chosen, split, mode, method, options, labeler };
      const { evaluation, wasThere } = await evaluateSplit(session, flags, run, part, whenChanged);
      evaluations.push(evaluation);
      if (wasThere) skipped.push(`metrics/${chosen.name}/${split}`);
    }
  }
  if (evaluations.length === 1) return { logDir: run.path, evaluations, skipped };
  const meansIn = (file: string) =>
    meansOf(evaluations, file, chooseMetrics(session, flags.metric), flags.seed);
  return {
    logDir: run.path,
    evaluations,
    means: await meansIn(PREDICTIONS_FILE),
    ...(mode.answerLogits && { answerLogitsMeans: await meansIn(OPTIONS_FILE) }),
    skipped,
  };
}

/** A mode's method; without one, the way to ask the model whether its answer is correct. */
const methodOf = ({ method }: Mode, hasAdapter: boolean) =>
  method ?? (hasAdapter ? "lora-prompt" : "zero-shot");

const strategyOf = ({ strategy = DEFAULT_STRATEGY }: Mode) => strategy;

/** The plugins that a command line means, whose options are flags too. */
async function peekPlugins(args: readonly string[], session: Session) {
  const mode = chooseMode(peekFlag(args, "mode").at(-1));
  const last = (name: string) => peekFlag(args, name).at(-1);
  const hasAdapter = asksAdapter({
    "query-peft-dir": last("query-peft-dir"),
    "scale-temp": last("scale-temp"),
  });
  const method = await peekMethod(args, session, methodOf(mode, hasAdapter));
  const labeler = peekLabeler(args, session, strategyOf(mode));
  return { method, labeler, dataset: await peekDataset(args, session) };
}

/** The options of the dataset, the labeler and the method that a command line means, unless those of its training. */
async function pluginFlags(args: readonly string[], session: Session): Promise<FlagSet> {
  const { method, labeler, dataset } = await peekPlugins(args, session);
  return { ...optionFlags(dataset), ...optionFlags(labeler), ...(method.train ? {} : optionFlags(method)) };
}

const task: Task = {
  command: "deno task evaluate",
  summary: "Measure how well a model knows when its answers are right. Writes metrics/<dataset>/<split>/.",
  example: "deno task evaluate --dataset=facts --prompt-style=oe --model-name=facts " +
    "--query-peft-dir=runs/mine/checkpoint-300 --scale-temp=query --log-dir=runs/mine",
  flags: async (args, session) => ({ ...EVALUATE_FLAGS, ...await pluginFlags(args, session) }),
  async run(args, session) {
    const flags = await pluginFlags(args, session);
    const { values, extra } = parseFlags(this.command, EVALUATE_FLAGS, args, flags);
    using run = await openRun(values["log-dir"]);
    const { method, labeler, dataset } = await peekPlugins(args, session);
    const given = {
      method: method.train ? {} : optionsOf(method, extra),
      labeler: optionsOf(labeler, extra),
      dataset: optionsOf(dataset, extra),
    };
    const { "query-peft-dir": peft } = values;
    if (peft !== undefined) await noteStyle(peft, values["prompt-style"]);
    const result = await evaluate(session, values, run, "refuse", given);
    print(metricsTable(result, directions(session)));
    return result;
  },
};

if (import.meta.main) await runTask(task);
