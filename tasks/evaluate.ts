/** `deno task evaluate`: how well a model knows when its answers are right. */
import { join } from "node:path";
import {
  createRng,
  generateAnswers,
  isLabeled,
  type Json,
  type Labeled,
  loadPrompts,
  type Method,
  type Options,
  type Prediction,
  readJson,
  resolveOptions,
  type RunFolder,
  type Split,
  type StoredRow,
  summarise,
  type Summary,
  type TaskMeans,
  UserError,
  usesChat,
  writeJsonAtomic,
  writePredictions,
} from "../core/mod.ts";
import { answerLogits } from "./_answer_logits.ts";
import type { Agreement } from "./_agreement.ts";
import { checkCheckpoint, noteStyle } from "./_checkpoint.ts";
import { collect } from "./_collect.ts";
import type { TokenCount } from "./_counting_model.ts";
import {
  aboutRun,
  announceSkip,
  CACHE_FLAG,
  CHAT_FLAG,
  chooseChat,
  chooseDatasets,
  chooseDtype,
  chooseSplits,
  chooseStyle,
  type ChosenDataset,
  openRun,
  RUN_FLAGS,
  SHUFFLE_FLAG,
} from "./_common.ts";
import { defineFlags, type FlagSet, parseFlags, peekFlag, type Values } from "./_flags.ts";
import { print } from "./_io.ts";
import { chooseMetrics, directions, meansOf } from "./_metrics.ts";
import { checkStyle, chooseMode, type Mode } from "./_modes.ts";
import { judge } from "./_judge.ts";
import { chooseLabeler, type ChosenLabeler, labelAll, type LabelUsage, peekLabeler } from "./_labeler.ts";
import { optionFlags, optionsOf, peekDataset, peekMethod } from "./_options.ts";
import { ProgressBar } from "./_progress.ts";
import { asksAdapter, checkScale, loadScale } from "./_scale.ts";
import type { Session } from "./_session.ts";
import { metricsTable } from "./_table.ts";
import { runTask, type Task } from "./_task.ts";

/** Flags of the task. */
export const EVALUATE_FLAGS = defineFlags({
  "dataset": { type: "string", help: "as in offline:<run>/labels, facts or eval:mmlu", required: true },
  "prompt-style": { type: "string", help: "how questions are worded: oe or choice", required: true },
  ...RUN_FLAGS,
  "query-peft-dir": {
    type: "string",
    help: "adapter that is asked: folder or hf:owner/name (the untuned model)",
  },
  "scale-temp": { type: "string", help: "query, probe or logits: calibrated as fitted beside the adapter" },
  "mode": { type: "string", help: "preset of the research code, as in query or us_oe; flags win" },
  "method": { type: "string", help: "method plugin (lora-prompt with an adapter, zero-shot without)" },
  "metric": {
    type: "string",
    help: "metric to compute, or all (the usual ones and those of --plugin); repeatable",
    repeatable: true,
  },
  "strategy": { type: "string", help: "labeler for answers without a label (substring)" },
  "splits": { type: "string", help: "some of train,validation,test", default: "test" },
  "eval-kshot": {
    type: "number",
    help: "worked examples in front of each question (the dataset's own)",
    least: 0,
  },
  ...SHUFFLE_FLAG,
  ...CHAT_FLAG,
  "max-new-tokens": { type: "number", help: "tokens of an answer at most (the style's own)", least: 1 },
  "batch-size": { type: "number", help: "rows at once", default: 32, least: 1 },
  ...CACHE_FLAG,
});

/** Result of one dataset and split. */
export interface Evaluation extends Summary {
  readonly dataset: string;
  readonly split: Split;
  /** Folder with `predictions.csv` and `metrics.json`. */
  readonly folder: string;
  /** What the logits of the options say by themselves, where the mode asks for it. */
  readonly answerLogits?: Summary;
}

/** Result of the task. */
export interface EvaluateResult {
  readonly logDir: string;
  readonly evaluations: readonly Evaluation[];
  /** Over the datasets of a collection. */
  readonly means?: TaskMeans;
  readonly skipped: readonly string[];
}

/** Options of plugins, as they were given. */
export interface GivenOptions {
  /** Those of a method that does not train; what a checkpoint was trained with is in it. */
  readonly method?: Readonly<Record<string, unknown>>;
  readonly labeler?: Readonly<Record<string, unknown>>;
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
  const labeler = await chooseLabeler(session, flags.strategy ?? strategyOf(mode), given.labeler ?? {});
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
  const means = evaluations.length > 1
    ? await meansOf(evaluations, chooseMetrics(session, flags.metric), flags.seed)
    : undefined;
  return { logDir: run.path, evaluations, ...(means ? { means } : {}), skipped };
}

/** What is evaluated at once, and how. */
interface Part {
  readonly chosen: ChosenDataset;
  readonly split: Split;
  readonly mode: Mode;
  readonly method: Method;
  readonly options: Options;
  readonly labeler: ChosenLabeler;
}

async function evaluateSplit(
  session: Session,
  flags: Values<typeof EVALUATE_FLAGS>,
  run: RunFolder,
  { chosen, split, mode, method, options, labeler }: Part,
  whenChanged: "refuse" | "redo",
): Promise<{ evaluation: Evaluation; wasThere: boolean }> {
  const { "model-name": modelName, "query-peft-dir": peft, "batch-size": batchSize, seed, limit } = flags;
  const checkpoint = peft === undefined ? undefined : await session.adapterFolder(peft);
  const style = chooseStyle(session, flags["prompt-style"]);
  const metrics = chooseMetrics(session, flags.metric);
  const kshot = flags["eval-kshot"] ?? chosen.dataset.evalKshot ?? 0;
  const maxNewTokens = flags["max-new-tokens"] ?? mode.maxNewTokens ?? style.maxNewTokens;
  const adapter = peft === undefined ? null : await session.describeAdapter(peft);
  const { calibrator, temperature } = await loadScale(session, flags, checkpoint, method, options);
  const folder = run.file("metrics", chosen.name.replace(/[^\w.-]+/g, "_"), split);
  const predictionsPath = join(folder, "predictions.csv"), metricsPath = join(folder, "metrics.json");
  const shuffleChoices = flags["shuffle-choices"];
  const describedModel = await session.describeModel(modelName, chooseDtype(flags.dtype));
  const chat = usesChat(await session.tokenizer(modelName), chooseChat(flags.chat));
  const inputs = {
    dataset: chosen.about,
    split,
    promptStyle: session.describe(style),
    kshot,
    ...(shuffleChoices === undefined ? {} : { shuffleChoices }),
    ...(chat ? { chat } : {}),
    maxNewTokens,
    limit: limit ?? null,
    seed,
    model: describedModel,
    adapter,
    calibrator: (calibrator ?? null) as Json,
    method: session.describe(method),
    ...(method.train ? {} : { options: { ...options } as Json }),
    labeler: labeler.about,
    ...(Object.keys(labeler.options).length > 0 && { labelerOptions: labeler.options }),
    metrics: metrics.map((metric) => session.describe(metric)),
    ...(mode.answerLogits && { answerLogits: true }),
  };
  const name = `metrics/${chosen.name}/${split}`;
  let spent: LabelUsage = {};
  const outcome = await run.stage(name, {
    inputs,
    whenChanged,
    about: async () => ({
      ...await aboutRun(session),
      ...(Object.keys(spent).length > 0 && { labelling: spent }),
    }),
    work: async () => {
      const started = performance.now();
      const rows = await loadPrompts({
        dataset: chosen.dataset,
        request: chosen.request,
        split,
        style,
        kshot,
        seed,
        limit,
        shuffleChoices,
      });
      if (mode.stored) checkStored(rows, flags);
      const model = await session.deferredModel(modelName, chooseDtype(flags.dtype), flags["cache-dir"]);
      const measure = (labeled: readonly Labeled[], agreement?: Agreement) => {
        const asked = { model, rows: labeled, method, options, checkpoint, calibrator, style, chat, labeler };
        const kept = {
          journal: join(folder, "confidences.journal"),
          inputs,
          title: `${chosen.name} confidence`,
        };
        return judge(
          { ...asked, ...kept, batchSize, seed },
          (predictions, tokens) => write(labeled, predictions, tokens, agreement),
        );
      };
      const write = async (
        labeled: readonly Labeled[],
        predictions: readonly Prediction[],
        tokens: TokenCount,
        agreement?: Agreement,
      ) => {
        const rng = () => createRng(seed).split("bootstrap");
        const summary = summarise(predictions, metrics, rng());
        using progress = new ProgressBar(`${chosen.name} options`);
        const beside = mode.answerLogits &&
          await answerLogits(model, labeled, { batchSize, progress, chat, temperature, metrics, rng: rng() });
        await writePredictions(predictionsPath, predictions);
        await writeJsonAtomic(metricsPath, {
          dataset: chosen.name,
          split,
          mode: flags.mode ?? null,
          method: method.name,
          promptStyle: style.name,
          model: modelName,
          adapter: peft ?? null,
          calibrator: calibrator ?? null,
          confidence: "P(correct)",
          ...summary,
          ...(beside && { answerLogits: beside }),
          ...(agreement && { agreement }),
          tokensPerQuestion: perQuestion(tokens, labeled.length),
          seconds: Math.round((performance.now() - started) / 10) / 100,
        });
        return [predictionsPath, metricsPath];
      };
      if (rows.every(isLabeled)) return await measure(rows);
      const answers = {
        journal: join(folder, "answers.journal"),
        inputs,
        total: rows.length,
        title: `${chosen.name} answer`,
        async *produce(todo: readonly number[]) {
          // Answers that are there already are only labelled.
          for (const index of todo) {
            const { output } = rows[index];
            if (output !== undefined) yield { index, value: output };
          }
          const open = todo.filter((index) => rows[index].output === undefined);
          const asked = open.map((index) => rows[index]);
          const generation = { maxNewTokens, batchSize, temperature: 0, topP: 1, seed, chat };
          for await (const { index, answer } of generateAnswers(model, asked, style, generation)) {
            yield { index: open[index], value: answer.output };
          }
        },
      };
      return await collect<string, string[]>(answers, async (outputs) => {
        const answered = rows.map((row, index) => ({ ...row, output: outputs[index] }));
        const all = { answers: answered, labeler, seed, journal: join(folder, "labels.journal"), inputs };
        return await labelAll(
          { ...all, title: `${chosen.name} label` },
          (labels, usage, agreement) => {
            spent = usage;
            return measure(answered.map((row, index) => ({ ...row, label: labels[index] })), agreement);
          },
        );
      });
    },
  });
  if (outcome.skipped) announceSkip(name);
  const { n, undecided, unscored, correct, groups, metrics: values, answerLogits: beside } = await readJson(
    metricsPath,
  ) as Summary & Pick<Evaluation, "answerLogits">;
  return {
    evaluation: {
      dataset: chosen.name,
      split,
      folder,
      n,
      undecided,
      unscored,
      correct,
      groups,
      metrics: values,
      ...(beside && { answerLogits: beside }),
    },
    wasThere: outcome.skipped,
  };
}

/** Tokens a question, to hundredths. */
function perQuestion({ read, written, kept }: TokenCount, questions: number): TokenCount {
  const mean = (tokens: number) => Math.round(100 * tokens / questions) / 100;
  return { read: mean(read), written: mean(written), kept: mean(kept) };
}

/** Refuses rows without the scores that an earlier evaluation stored. */
function checkStored(rows: readonly StoredRow[], { mode, dataset }: Values<typeof EVALUATE_FLAGS>): void {
  const missing = rows.find(({ logits }) => logits === undefined);
  if (!missing) return;
  throw new UserError({
    kind: "usage",
    what: `Mode "${mode}" measures stored scores, but row ${missing.id} of ${dataset} has none`,
    where: "--mode",
    fix: "give a dataset of scores, as in offline_logits:<folder>, or use --mode=query",
  });
}

/** A mode's method; without one, the way to ask the model whether its answer is correct. */
const methodOf = ({ method }: Mode, hasAdapter: boolean) =>
  method ?? (hasAdapter ? "lora-prompt" : "zero-shot");

const strategyOf = ({ strategy = "substring" }: Mode) => strategy;

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
