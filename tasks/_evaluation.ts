/** The evaluation of one dataset and split: answers, labels, confidences and metrics, whichever of them there are not. */
import { join, relative } from "node:path";
import {
  type Calibrator,
  createRng,
  differences,
  exists,
  generateAnswers,
  hashFile,
  isLabeled,
  type Json,
  type Labeled,
  type LanguageModel,
  loadPrompts,
  type Method,
  type Metric,
  type Options,
  type Prediction,
  type PredictionRow,
  type PromptStyle,
  readJson,
  readPredictions,
  type RunFolder,
  type Split,
  type StageInputs,
  type StageRecord,
  type StoredRow,
  summarise,
  type Summary,
  UserError,
  usesChat,
  writeJsonAtomic,
  writePredictions,
} from "../core/mod.ts";
import type { Agreement } from "./_agreement.ts";
import { answerLogits } from "./_answer_logits.ts";
import { collect } from "./_collect.ts";
import {
  aboutRun,
  announceSkip,
  CACHE_FLAG,
  CHAT_FLAG,
  chooseChat,
  chooseDtype,
  chooseStyle,
  type ChosenDataset,
  RUN_FLAGS,
  SHUFFLE_FLAG,
} from "./_common.ts";
import type { TokenCount } from "./_counting_model.ts";
import { defineFlags, type Values } from "./_flags.ts";
import { note } from "./_io.ts";
import { judge } from "./_judge.ts";
import { type ChosenLabeler, labelAll, type LabelUsage } from "./_labeler.ts";
import { chooseMetrics } from "./_metrics.ts";
import type { Mode } from "./_modes.ts";
import { ProgressBar } from "./_progress.ts";
import { loadScale } from "./_scale.ts";
import type { Session } from "./_session.ts";

/** Labeler of answers without a label, unless another is named. */
export const DEFAULT_STRATEGY = "substring";

/** Flags of `evaluate`. */
export const EVALUATE_FLAGS = defineFlags({
  "dataset": { type: "string", help: "offline:<run>/labels, facts, eval:mmlu …", required: true },
  "prompt-style": { type: "string", help: "how questions are worded: oe or choice", required: true },
  ...RUN_FLAGS,
  "query-peft-dir": {
    type: "string",
    help: "adapter to ask: a folder or hf:owner/name (none)",
  },
  "scale-temp": { type: "string", help: "query, probe, logits: apply what was fitted to it" },
  "mode": { type: "string", help: "preset, as in query or us_oe; flags given win" },
  "method": { type: "string", help: "method (lora-prompt with an adapter, else zero-shot)" },
  "metric": {
    type: "string",
    help: "metric, or all; repeatable (the usual, --plugin's)",
    repeatable: true,
  },
  "strategy": { type: "string", help: `labeler for answers without a label (${DEFAULT_STRATEGY})` },
  "splits": { type: "string", help: "some of train,validation,test", default: "test" },
  "eval-kshot": {
    type: "number",
    help: "worked examples before each (the dataset's own)",
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

type Flags = Values<typeof EVALUATE_FLAGS>;

/** What is evaluated at once, and how. */
export interface Part {
  readonly chosen: ChosenDataset;
  readonly split: Split;
  readonly mode: Mode;
  readonly method: Method;
  readonly options: Options;
  readonly labeler: ChosenLabeler;
}

/** Evaluates one split of a dataset, unless the run holds that evaluation. */
export async function evaluateSplit(
  session: Session,
  flags: Flags,
  run: RunFolder,
  part: Part,
  whenChanged: "refuse" | "redo",
): Promise<{ readonly evaluation: Evaluation; readonly wasThere: boolean }> {
  const { chosen, split } = part, name = `metrics/${chosen.name}/${split}`;
  const folder = run.file("metrics", chosen.name.replace(/[^\w.-]+/g, "_"), split);
  const setting = await settle(session, flags, part);
  const work = { ...part, ...setting, folder };
  let spent: LabelUsage = {};
  const judged = await judgedBefore(run, name, work);
  const outcome = await run.stage(
    name,
    judged
      ? {
        inputs: setting.inputs,
        whenChanged: "redo",
        about: () => Promise.resolve({ ...judged.about, command: session.command }),
        work: () => measureAgain(flags, work),
      }
      : {
        inputs: setting.inputs,
        whenChanged,
        about: async () => ({
          ...await aboutRun(session),
          ...(Object.keys(spent).length > 0 && { labelling: spent }),
        }),
        work: () => compute(session, flags, work, (usage) => spent = usage),
      },
  );
  if (outcome.skipped) announceSkip(name);
  const stored = await readJson(join(folder, METRICS_FILE)) as Summary & Pick<Evaluation, "answerLogits">;
  const { n, undecided, unscored, correct, groups, metrics, answerLogits } = stored;
  const summary = { n, undecided, unscored, correct, groups, metrics, ...(answerLogits && { answerLogits }) };
  return { evaluation: { dataset: chosen.name, split, folder, ...summary }, wasThere: outcome.skipped };
}

/** What the flags come to for one split. */
interface Setting {
  readonly style: PromptStyle;
  readonly metrics: readonly Metric[];
  readonly kshot: number;
  readonly maxNewTokens: number;
  /** Whether the model is asked in its chat template. */
  readonly chat: boolean;
  readonly checkpoint?: string;
  readonly calibrator?: Calibrator;
  /** Of the logits of the options. */
  readonly temperature?: number;
  /** All that decides the confidences. */
  readonly asked: StageInputs;
  /** The same with the metrics, for `run.json`. */
  readonly inputs: StageInputs;
}

async function settle(
  session: Session,
  flags: Flags,
  { chosen, split, mode, method, options, labeler }: Part,
): Promise<Setting> {
  const { "model-name": modelName, "query-peft-dir": peft, "shuffle-choices": shuffleChoices } = flags;
  const checkpoint = peft === undefined ? undefined : await session.adapterFolder(peft);
  const style = chooseStyle(session, flags["prompt-style"]);
  const metrics = chooseMetrics(session, flags.metric);
  const kshot = flags["eval-kshot"] ?? chosen.dataset.evalKshot ?? 0;
  const maxNewTokens = flags["max-new-tokens"] ?? chosen.dataset.maxNewTokens ?? mode.maxNewTokens ??
    style.maxNewTokens;
  const adapter = peft === undefined ? null : await session.describeAdapter(peft);
  const { calibrator, temperature } = await loadScale(session, flags, checkpoint, method, options);
  const model = await session.describeModel(modelName, chooseDtype(flags.dtype));
  const chat = usesChat(await session.tokenizer(modelName), chooseChat(flags.chat));
  const asked = {
    dataset: chosen.about,
    split,
    promptStyle: session.describe(style),
    kshot,
    ...(shuffleChoices === undefined ? {} : { shuffleChoices }),
    ...(chat ? { chat } : {}),
    maxNewTokens,
    limit: flags.limit ?? null,
    seed: flags.seed,
    model,
    adapter,
    calibrator: (calibrator ?? null) as Json,
    method: session.describe(method),
    ...(method.train ? {} : { options: { ...options } as Json }),
    labeler: labeler.about,
    ...(Object.keys(labeler.options).length > 0 && { labelerOptions: labeler.options }),
    ...(mode.answerLogits && { answerLogits: true }),
  };
  const inputs = { ...asked, metrics: metrics.map((metric) => session.describe(metric)) };
  return { style, metrics, kshot, maxNewTokens, chat, checkpoint, calibrator, temperature, asked, inputs };
}

/** Files of an evaluation: what the method says of each answer, what the options' logits say, and how good that is. */
export const PREDICTIONS_FILE = "predictions.csv", OPTIONS_FILE = "options.csv";
const METRICS_FILE = "metrics.json";

/** A part with all that its flags come to, and where its files go. */
interface Work extends Part, Setting {
  readonly folder: string;
}

/** Files with confidences. */
const confidencesIn = ({ folder, mode }: Pick<Work, "folder" | "mode">): readonly string[] =>
  [PREDICTIONS_FILE, ...(mode.answerLogits ? [OPTIONS_FILE] : [])].map((name) => join(folder, name));

/** The record of an evaluation of the same confidences by other metrics, whose files are there as they were written. */
async function judgedBefore(
  run: RunFolder,
  name: string,
  work: Work,
): Promise<StageRecord | undefined> {
  const before = run.record(name);
  if (before === undefined) return undefined;
  const paths = differences(before.inputs, work.inputs).map(({ path }) => path);
  if (paths.length === 0 || paths.some((path) => path !== "metrics")) return undefined;
  for (const path of confidencesIn(work)) {
    if (!await exists(path) || before.outputs[relative(run.path, path)] !== await hashFile(path)) {
      return undefined;
    }
  }
  return before;
}

/** Computes the metrics of confidences that are there, and asks nobody. */
async function measureAgain({ seed }: Flags, work: Work): Promise<string[]> {
  const path = join(work.folder, METRICS_FILE), [predictions, options] = confidencesIn(work);
  note("The confidences are there: only the metrics are computed.");
  const measure = async (file: string) =>
    summarise(await readPredictions(file), work.metrics, createRng(seed).split("bootstrap"));
  await writeJsonAtomic(path, {
    ...await readJson(path) as Summary,
    ...await measure(predictions),
    ...(options !== undefined && { answerLogits: await measure(options) }),
  });
  return [...confidencesIn(work), path];
}

/**
 * Has the model answer what is not answered, the labeler label what is not labelled, and the method judge it all.
 *
 * @param spend told what labels have cost
 * @returns the files that it wrote
 */
async function compute(
  session: Session,
  flags: Flags,
  work: Work,
  spend: (usage: LabelUsage) => void,
): Promise<string[]> {
  const { chosen, split, mode, style, kshot, maxNewTokens, chat, labeler, folder, asked: inputs } = work;
  const { "batch-size": batchSize, "shuffle-choices": shuffleChoices, seed, limit } = flags;
  const started = performance.now();
  const { dataset, request } = chosen;
  const rows = await loadPrompts({ dataset, request, split, style, kshot, seed, limit, shuffleChoices });
  if (mode.stored) checkStored(rows, flags);
  const model = await session.deferredModel(
    flags["model-name"],
    chooseDtype(flags.dtype),
    flags["cache-dir"],
  );
  const measure = (labeled: readonly Labeled[], agreement?: Agreement) =>
    judgeAll(flags, work, { model, labeled, agreement, started });
  if (rows.every(isLabeled)) {
    const isNamed = (flags.strategy ?? mode.strategy ?? DEFAULT_STRATEGY) !== DEFAULT_STRATEGY;
    if (isNamed) {
      note(`The answers of ${chosen.name} are labelled already: ${labeler.name} labels none of them.`);
    }
    return await measure(rows);
  }
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
    const kept = { journal: join(folder, "labels.journal"), inputs, title: `${chosen.name} label` };
    return await labelAll({ answers: answered, labeler, seed, ...kept }, (labels, usage, agreement) => {
      spend(usage);
      return measure(answered.map((row, index) => ({ ...row, label: labels[index] })), agreement);
    });
  });
}

/** Labelled answers, and who is asked about them. */
interface Answers {
  readonly model: LanguageModel;
  readonly labeled: readonly Labeled[];
  readonly agreement?: Agreement;
  /** When the evaluation began, in ms. */
  readonly started: number;
}

/** Has the method judge labelled answers, and writes what it says and how good that is. */
function judgeAll(flags: Flags, work: Work, answers: Answers): Promise<string[]> {
  const { chosen, method, options, checkpoint, calibrator, style, chat, labeler, folder } = work;
  const { "batch-size": batchSize, seed } = flags, { model, labeled } = answers;
  const asked = { model, rows: labeled, method, options, checkpoint, calibrator, style, chat, labeler };
  const kept = {
    journal: join(folder, "confidences.journal"),
    inputs: work.asked,
    title: `${chosen.name} confidence`,
  };
  return judge(
    { ...asked, ...kept, batchSize, seed },
    (predictions, tokens) => writeEvaluation(flags, work, answers, predictions, tokens),
  );
}

async function writeEvaluation(
  flags: Flags,
  work: Work,
  { model, labeled, agreement, started }: Answers,
  predictions: readonly Prediction[],
  tokens: TokenCount,
): Promise<string[]> {
  const { chosen, split, mode, method, style, chat, calibrator, temperature, folder } = work;
  const { "batch-size": batchSize, seed } = flags;
  const measure = (rows: readonly PredictionRow[]) =>
    summarise(rows, work.metrics, createRng(seed).split("bootstrap"));
  const summary = measure(predictions);
  using progress = new ProgressBar(`${chosen.name} options`);
  const options = mode.answerLogits &&
    await answerLogits(model, labeled, { batchSize, progress, chat, temperature });
  const path = join(folder, METRICS_FILE);
  await writePredictions(join(folder, PREDICTIONS_FILE), predictions);
  if (options) await writePredictions(join(folder, OPTIONS_FILE), options);
  await writeJsonAtomic(path, {
    dataset: chosen.name,
    split,
    mode: flags.mode ?? null,
    method: method.name,
    promptStyle: style.name,
    model: flags["model-name"],
    adapter: flags["query-peft-dir"] ?? null,
    calibrator: calibrator ?? null,
    confidence: "P(correct)",
    ...summary,
    ...(options && { answerLogits: measure(options) }),
    ...(agreement && { agreement }),
    tokensPerQuestion: perQuestion(tokens, labeled.length),
    seconds: Math.round((performance.now() - started) / 10) / 100,
  });
  return [...confidencesIn(work), path];
}

/** Tokens a question, to hundredths. */
function perQuestion({ read, written, kept }: TokenCount, questions: number): TokenCount {
  const mean = (tokens: number) => Math.round(100 * tokens / questions) / 100;
  return { read: mean(read), written: mean(written), kept: mean(kept) };
}

/** Refuses rows without the scores that an earlier evaluation stored. */
function checkStored(rows: readonly StoredRow[], { mode, dataset }: Flags): void {
  const missing = rows.find(({ logits }) => logits === undefined);
  if (!missing) return;
  throw new UserError({
    kind: "usage",
    what: `Mode "${mode}" measures stored scores, but row ${missing.id} of ${dataset} has none`,
    where: "--mode",
    fix: "give a dataset of scores, as in offline_logits:<folder>, or use --mode=query",
  });
}
