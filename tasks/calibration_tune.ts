/** `deno task calibration-tune`: teach a model to know when its answers are right. */
import { dirname, join } from "node:path";
import {
  createRng,
  dataError,
  exists,
  fitTemperature,
  isLabeled,
  type Json,
  type Labeled,
  loadPrompts,
  type Method,
  type MethodContext,
  resolveOptions,
  type RunFolder,
  type ScoredLogits,
  type Split,
  type Temperature,
  TEMPERATURE_LIMITS,
  type TrainableMethod,
  UserError,
} from "../core/mod.ts";
import { saveTemperature } from "../model/temperature_file.ts";
import { checkOutside, locateAdapters, type NamedAdapters } from "./_adapter_options.ts";
import { checkpointFingerprint } from "./_checkpoint.ts";
import {
  aboutRun,
  announceSkip,
  CACHE_FLAG,
  checkTrainable,
  chooseDatasets,
  chooseDtype,
  chooseStyle,
  type ChosenDataset,
  openRun,
  RUN_FLAGS,
} from "./_common.ts";
import { defineFlags, parseFlags, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { optionFlags, optionsOf, peekMethod } from "./_options.ts";
import { ProgressBar } from "./_progress.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";
import { LOG_FILES, TrainingLog } from "./_training_log.ts";

/** The method that is trained, unless another is named. */
const METHOD = "lora-prompt";

/** Flags of the task; the method's options come on top. */
export const TUNE_FLAGS = defineFlags({
  "dataset": { type: "string", help: "labelled answers: offline:<run>/labels", required: true },
  ...RUN_FLAGS,
  "prompt-style": { type: "string", help: "style of the answers, of made-up ones and for folder names" },
  "method": { type: "string", help: "method plugin to train", default: METHOD },
  "batch-size": { type: "number", help: "rows read at once", default: 4, least: 1 },
  "max-steps": { type: "number", help: "optimizer steps", default: 5000, least: 1 },
  "scale-temp": { type: "boolean", help: "fit a temperature on the validation split after it" },
  "resume": { type: "boolean", help: "go on with what is in --log-dir", default: true },
  ...CACHE_FLAG,
});

/** What training leaves in the run folder. */
const TRAINING_FILES = new RegExp(`^checkpoint-\\d+(\\.tmp)?$|${LOG_FILES.source}`);

/** What the task made. */
export interface TuneResult {
  readonly logDir: string;
  /** Folder of the adapter. */
  readonly checkpoint: string;
  readonly temperature: number | null;
  readonly skipped: readonly string[];
}

/** Trains a method, and fits a temperature if asked. */
export async function calibrationTune(
  session: Session,
  flags: Values<typeof TUNE_FLAGS>,
  methodOptions: Readonly<Record<string, unknown>>,
  run: RunFolder,
  whenChanged: "refuse" | "redo" = "refuse",
): Promise<TuneResult> {
  const { "model-name": modelName, "max-steps": maxSteps, "batch-size": batchSize, seed } = flags;
  const method = trainable(session.registry.get("method", flags.method).plugin);
  const options = resolveOptions(method, methodOptions);
  method.check?.(options);
  const [chosen] = await chooseDatasets(session, flags.dataset, {
    dataDir: flags["data-dir"],
    promptStyle: flags["prompt-style"],
  });
  checkTrainable(chosen);
  const worded: Readonly<Record<string, Json>> = chosen.dataset.synthetic
    ? { promptStyle: wordingOf(session, chosen, flags) }
    : {};
  const adapters = await locateAdapters(session, options);
  const inputs = {
    dataset: chosen.about,
    ...worded,
    limit: flags.limit ?? null,
    model: await session.describeModel(modelName, chooseDtype(flags.dtype)),
    method: session.describe(method),
    options: { ...options, ...adapters.about } as Json,
    batchSize,
    maxSteps,
    seed,
  };
  if (!flags.resume) await startAnew(session, run, adapters);
  const skipped: string[] = [];
  const rng = createRng(seed).split("train");
  const trained = await run.stage("train", {
    inputs,
    whenChanged,
    about: () => aboutRun(session),
    work: async () => {
      await run.claim("train", inputs, TRAINING_FILES, whenChanged);
      const rows = {
        train: await labeledRows(session, chosen, "train", flags),
        validation: await validationRows(session, chosen, flags, flags["scale-temp"]),
      };
      const model = await session.deferredModel(modelName, chooseDtype(flags.dtype), flags["cache-dir"]);
      using log = new TrainingLog(run.path);
      using progress = new ProgressBar("train", "steps");
      const context = { rng, batchSize, maxSteps, progress, folder: run.path, warn: note };
      const folder = await session.saving((signal) =>
        method.train(model, rows, {
          ...context,
          options: { ...options, ...adapters.folders },
          signal,
          log: (step, values) => log.write(step, values),
        })
      );
      return await filesOf(method, folder);
    },
  });
  if (trained.skipped) skipped.push(announceSkip("train"));
  const checkpoint = run.file(dirname(Object.keys(trained.record.outputs)[0]));
  if (!flags["scale-temp"]) return { logDir: run.path, checkpoint, temperature: null, skipped };

  let fitted: Temperature | undefined;
  const scaled = await run.stage("scale-temp", {
    inputs: {
      dataset: chosen.about,
      limit: flags.limit ?? null,
      adapter: await checkpointFingerprint(checkpoint),
    },
    whenChanged: "redo",
    about: () =>
      Promise.resolve({
        temperature: fitted!.temperature,
        nllBefore: fitted!.nllBefore,
        nllAfter: fitted!.nllAfter,
        bounded: fitted!.bounded,
      }),
    work: async () => {
      const rows = await validationRows(session, chosen, flags, true);
      const model = await session.deferredModel(modelName, chooseDtype(flags.dtype), flags["cache-dir"]);
      using progress = new ProgressBar("scale temperature");
      fitted = await fitOn(method, model, rows, {
        options,
        rng,
        batchSize: SCORING_ROWS,
        progress,
        checkpoint,
      });
      return [await saveTemperature(checkpoint, fitted.temperature)];
    },
  });
  if (scaled.skipped) skipped.push(announceSkip("scale-temp"));
  else warnUnbounded(fitted!);
  return { logDir: run.path, checkpoint, temperature: scaled.record.about.temperature as number, skipped };
}

/** Rows that are scored at once: no gradients are kept, so more fit than in a training step. */
const SCORING_ROWS = 32;

async function fitOn(
  method: Method,
  model: Parameters<Method["predict"]>[0],
  rows: readonly Labeled[],
  context: MethodContext & { readonly checkpoint: string },
): Promise<Temperature> {
  const decided = rows.filter(({ label }) => label !== null);
  const scored: ScoredLogits[] = [];
  let row = 0;
  for await (const score of method.predict(model, decided, context)) {
    const label = decided[row++].label as 0 | 1;
    if (score === null) continue;
    if (typeof score === "object") {
      const isChoice = "logits" in score;
      scored.push(isChoice ? { logits: score.logits, label: score.target } : { logits: score, label });
    } // What is certain has no finite logits; it says nothing about the temperature.
    else if (score > 0 && score < 1) scored.push({ logits: [Math.log1p(-score), Math.log(score)], label });
  }
  return fitTemperature(scored);
}

/** Moves an earlier training out of the way, and says so. */
async function startAnew(session: Session, run: RunFolder, adapters: NamedAdapters): Promise<void> {
  await checkOutside(run.path, adapters);
  session.advice = "Leave --no-resume out to go on where it was.";
  const moved = await run.setAside("train", TRAINING_FILES);
  if (moved) {
    note(
      `--no-resume: the earlier training, ${moved.names.length} files and folders, is in ${moved.folder} now.`,
    );
  }
}

function warnUnbounded({ bounded, temperature }: Temperature): void {
  if (bounded) return;
  const { lowest, highest } = TEMPERATURE_LIMITS;
  note(
    `The validation rows favour ${
      temperature <= lowest ? "ever sharper" : "ever softer"
    } confidence: the temperature ` +
      `is at its limit, ${temperature} (${lowest} to ${highest}). More validation rows would settle it.`,
  );
}

/**
 * Rows to look at while training; none where the dataset has no validation split.
 *
 * @param needed whether something is to be fitted on them
 */
async function validationRows(
  session: Session,
  chosen: ChosenDataset,
  flags: RowFlags,
  needed: boolean,
): Promise<readonly Labeled[]> {
  const { dataset, request } = chosen;
  const splits = await dataset.available?.(request) ?? dataset.splits;
  const rows = splits.includes("validation") ? await labeledRows(session, chosen, "validation", flags) : [];
  if (rows.some(({ label }) => label !== null)) return rows;
  if (needed) {
    throw dataError(
      "There is no labelled validation row to fit a temperature on",
      `${chosen.name}, needed for --scale-temp`,
      "label a validation split, or leave --scale-temp out",
    );
  }
  note("There is no labelled validation row: the training is not looked at from outside.");
  return rows;
}

type RowFlags = Pick<Values<typeof TUNE_FLAGS>, "limit" | "seed" | "prompt-style">;

/** Rows that an earlier stage labelled, or those of a dataset that makes up answers and labels. */
async function labeledRows(
  session: Session,
  chosen: ChosenDataset,
  split: Split,
  flags: RowFlags,
): Promise<Labeled[]> {
  const { limit = Infinity, seed, "prompt-style": style } = flags, { dataset, request } = chosen;
  const rows: Labeled[] = [];
  const source = dataset.synthetic
    ? await loadPrompts({
      dataset,
      request,
      split,
      style: chooseStyle(session, style ?? ""),
      kshot: 0,
      seed,
      limit,
    })
    : dataset.read!(split, request);
  for await (const row of source) {
    if (rows.length >= limit) break;
    if (!("context" in row) || !isLabeled(row)) {
      throw dataError(
        `A ${split} row of ${chosen.name} has no ${"output" in row ? "label" : "answer"}`,
        `row ${row.id}`,
        "train on what deno task generate labels has written, as in --dataset=offline:<run>/labels",
      );
    }
    rows.push(row);
  }
  if (rows.length === 0 && split === "train") {
    throw dataError(`The ${split} split has no rows`, chosen.name, "label some answers first");
  }
  return rows;
}

/** The prompt style in which a dataset that makes up answers is worded. */
function wordingOf(session: Session, { name }: ChosenDataset, { "prompt-style": style }: RowFlags): Json {
  if (style !== undefined) return session.describe(chooseStyle(session, style));
  throw new UserError({
    kind: "usage",
    what: `${name} holds questions that have to be worded`,
    where: "--prompt-style",
    fix: "give --prompt-style=oe or choice",
  });
}

/** The files of the checkpoint that a method says it wrote. */
async function filesOf(method: Method, folder: string): Promise<string[]> {
  const files: string[] = [];
  if (await exists(folder)) {
    for await (const { name, isFile } of Deno.readDir(folder)) if (isFile) files.push(join(folder, name));
  }
  if (files.length > 0) return files.sort();
  throw new UserError({
    kind: "plugin",
    what: `Method "${method.name}" wrote no checkpoint`,
    where: folder,
    fix: "train() has to write files into a folder of its context's folder, and to give that folder back",
  });
}

/** @throws {UserError} of kind `usage` for a method that needs no training */
function trainable(method: Method): TrainableMethod {
  if (method.train) return method as TrainableMethod;
  throw new UserError({
    kind: "usage",
    what: `Method "${method.name}" needs no training`,
    where: `--method=${method.name}`,
    fix: `evaluate with it: deno task evaluate --method=${method.name}`,
  });
}

const task: Task = {
  command: "deno task calibration-tune",
  summary: "Teach a model to know when its answers are right. Writes checkpoint-<step>/ in PEFT's format.",
  example:
    "deno task calibration-tune --dataset=offline:runs/mine/labels --model-name=facts --log-dir=runs/mine " +
    "--max-steps=300 --batch-size=16 --lr=2e-3 --scale-temp",
  flags: async (args, session) => ({
    ...TUNE_FLAGS,
    ...optionFlags(await peekMethod(args, session, METHOD)),
  }),
  async run(args, session) {
    const method = await peekMethod(args, session, METHOD);
    const { values, extra } = parseFlags(this.command, TUNE_FLAGS, args, optionFlags(method));
    const options = optionsOf(method, extra);
    using run = await openRun(values["log-dir"]);
    const result = await calibrationTune(session, values, options, run);
    const temperature = result.temperature === null ? "" : `, temperature ${result.temperature.toFixed(3)}`;
    print(`adapter in ${result.checkpoint}${temperature}`);
    return result;
  },
};

if (import.meta.main) await runTask(task);
