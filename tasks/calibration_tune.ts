/** `deno task calibration-tune`: teach a model to know when its answers are right. */
import { dirname, join } from "node:path";
import {
  type Calibrator,
  CALIBRATORS,
  createRng,
  exists,
  type FittedCalibrator,
  type Json,
  type Method,
  type Options,
  resolveOptions,
  type RunFolder,
  type TrainableMethod,
  UserError,
  usesChat,
} from "../core/mod.ts";
import { saveCalibrator } from "../model/calibrator_file.ts";
import { chooseCalibrator, fitOn, writeMethod } from "./_calibrate.ts";
import { calibratorText } from "./_calibrator_text.ts";
import { checkOutside, locateAdapters, type NamedAdapters } from "./_adapter_options.ts";
import { checkpointFingerprint } from "./_checkpoint.ts";
import {
  aboutRun,
  announceSkip,
  CACHE_FLAG,
  CHAT_FLAG,
  checkTrainable,
  chooseChat,
  chooseDataset,
  chooseDtype,
  chooseStyle,
  type ChosenDataset,
  openRun,
  RUN_FLAGS,
} from "./_common.ts";
import { defaultsOf, defineFlags, type FlagSet, parseFlags, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { optionFlags, optionsOf, peekMethod } from "./_options.ts";
import { ProgressBar } from "./_progress.ts";
import type { Session } from "./_session.ts";
import { chooseLabeler, LabelerOnDemand, peekLabeler } from "./_labeler.ts";
import { runTask, type Task } from "./_task.ts";
import { LOG_FILES, TrainingLog } from "./_training_log.ts";
import { checkFittable, labeledRows, validationRows, wordingOf } from "./_training_rows.ts";

/** The method that is trained, unless another is named. */
const METHOD = "lora-prompt";

/** Flags about what a calibrator is fitted to, trained or not; the method's options come on top. */
export const FIT_FLAGS = defineFlags({
  "dataset": { type: "string", help: "labelled answers: offline:<run>/labels", required: true },
  ...RUN_FLAGS,
  "prompt-style": { type: "string", help: "style of the answers, of made-up ones and folders" },
  "method": { type: "string", help: "method plugin to train", default: METHOD },
  "scale-temp": { type: "boolean", help: "fit a calibrator on the validation split" },
  "calibrator": { type: "string", help: `${CALIBRATORS.join(", ")} (temperature)` },
  ...CACHE_FLAG,
});

/** Further flags for a method with training. */
const TRAINING_FLAGS = defineFlags({
  "batch-size": { type: "number", help: "rows read at once", default: 4, least: 1 },
  "max-steps": { type: "number", help: "optimizer steps", default: 5000, least: 1 },
  "resume": { type: "boolean", help: "go on with what is there; --no-resume: anew", default: true },
});

/** Flags of the task for a method with training. */
export const TUNE_FLAGS = defineFlags({ ...FIT_FLAGS, ...TRAINING_FLAGS });

/** Further flags for a method without training. */
const UNTRAINED_FLAGS = defineFlags({
  "strategy": { type: "string", help: "labeler, where the method compares answers", default: "substring" },
  ...CHAT_FLAG,
});

/** All values of a command line; for a method without training, its labeler and the use of a chat template among them. */
type TuneValues = Values<typeof TUNE_FLAGS> & Partial<Values<typeof UNTRAINED_FLAGS>>;

/** What training leaves in the run folder. */
const TRAINING_FILES = new RegExp(`^checkpoint-\\d+(\\.tmp)?$|${LOG_FILES.source}`);

/** What the task made. */
export interface TuneResult {
  readonly logDir: string;
  /** Folder of the adapter. */
  readonly checkpoint: string;
  /** What --scale-temp has fitted, or null; and its temperature, if it is one. */
  readonly calibrator: Calibrator | null;
  readonly temperature: number | null;
  readonly skipped: readonly string[];
}

/**
 * Trains a method, unless it needs no training, and fits a calibrator if asked.
 *
 * @param labelerOptions of the labeler by which a method without training compares answers
 */
export async function calibrationTune(
  session: Session,
  flags: TuneValues,
  methodOptions: Readonly<Record<string, unknown>>,
  run: RunFolder,
  whenChanged: "refuse" | "redo" = "refuse",
  labelerOptions: Readonly<Record<string, unknown>> = {},
): Promise<TuneResult> {
  const { plugin: method } = session.registry.get("method", flags.method);
  const kind = chooseCalibrator(flags.calibrator, flags["scale-temp"]);
  checkWorth(method, flags["scale-temp"]);
  const options = resolveOptions(method, methodOptions);
  const chosen = await chooseDataset(session, flags.dataset, {
    dataDir: flags["data-dir"],
    promptStyle: flags["prompt-style"],
  });
  checkTrainable(chosen);
  const work = { session, flags, run, whenChanged, chosen, options, labelerOptions };
  const trained = isTrainable(method) ? await train(work, method) : undefined;
  const checkpoint = trained?.checkpoint ?? run.file("checkpoint-0");
  const skipped = trained?.skipped ? [announceSkip("train")] : [];
  if (!flags["scale-temp"]) {
    return { logDir: run.path, checkpoint, calibrator: null, temperature: null, skipped };
  }
  const scaled = await calibrate(work, method, kind, checkpoint);
  if (scaled.skipped) skipped.push(announceSkip("scale-temp"));
  const { calibrator } = scaled;
  const temperature = calibrator.kind === "temperature" ? calibrator.temperature : null;
  return { logDir: run.path, checkpoint, calibrator, temperature, skipped };
}

/** What training and calibration share. */
interface Work {
  readonly session: Session;
  readonly flags: TuneValues;
  readonly run: RunFolder;
  readonly whenChanged: "refuse" | "redo";
  readonly chosen: ChosenDataset;
  readonly options: Options;
  readonly labelerOptions: Readonly<Record<string, unknown>>;
}

async function train(
  { session, flags, run, whenChanged, chosen, options }: Work,
  method: TrainableMethod,
): Promise<{ readonly checkpoint: string; readonly skipped: boolean }> {
  const { "model-name": modelName, "max-steps": maxSteps, "batch-size": batchSize, seed } = flags;
  const worded: Readonly<Record<string, Json>> = chosen.dataset.synthetic
    ? { promptStyle: wordingOf(session, chosen, flags) }
    : {};
  const adapters = await locateAdapters(session, options, modelName);
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
      if (flags["scale-temp"]) checkFittable(rows.validation, chosen);
      const model = await session.deferredModel(modelName, chooseDtype(flags.dtype), flags["cache-dir"]);
      using log = new TrainingLog(run.path);
      using progress = new ProgressBar("train", "steps");
      const rng = createRng(seed).split("train");
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
  return {
    checkpoint: run.file(dirname(Object.keys(trained.record.outputs)[0])),
    skipped: trained.skipped,
  };
}

/** Rows that are scored at once: no gradients are kept, so more fit than in a training step. */
const SCORING_ROWS = 32;

/** Fits a calibrator to a method's confidences in validation rows, and writes it into the checkpoint. */
async function calibrate(
  { session, flags, run, chosen, options, labelerOptions }: Work,
  method: Method,
  kind: Calibrator["kind"],
  checkpoint: string,
): Promise<{ readonly calibrator: Calibrator; readonly skipped: boolean }> {
  const { "model-name": modelName, "cache-dir": cacheDir, seed } = flags, dtype = chooseDtype(flags.dtype);
  const style = flags["prompt-style"] === undefined ? undefined : chooseStyle(session, flags["prompt-style"]);
  const strategy = flags.strategy ?? UNTRAINED_FLAGS.strategy.default;
  const labeler = await chooseLabeler(session, strategy, labelerOptions);
  const { chat: use = UNTRAINED_FLAGS.chat.default } = flags;
  const chat = !method.train && usesChat(await session.tokenizer(modelName), chooseChat(use));
  // What a method without training says depends on all of this; what another one says, on its checkpoint.
  const said: Readonly<Record<string, Json>> = method.train
    ? { adapter: await checkpointFingerprint(checkpoint) }
    : {
      method: session.describe(method),
      options: options as Json,
      model: await session.describeModel(modelName, dtype),
      seed,
      promptStyle: style ? session.describe(style) : null,
      labeler: labeler.about,
      ...(Object.keys(labeler.options).length > 0 && { labelerOptions: labeler.options }),
      ...(chat && { chat }),
    };
  let fitted: FittedCalibrator | undefined;
  const scaled = await run.stage("scale-temp", {
    inputs: { dataset: chosen.about, limit: flags.limit ?? null, ...said, calibrator: kind },
    whenChanged: "redo",
    about: () => Promise.resolve({ ...fitted!, calibrator: fitted!.calibrator as Json }),
    work: async () => {
      const rows = await validationRows(session, chosen, flags, true);
      const model = await session.deferredModel(modelName, dtype, cacheDir);
      using progress = new ProgressBar("calibrate");
      await using comparing = new LabelerOnDemand(labeler);
      fitted = await fitOn(kind, method, model, rows, {
        options,
        rng: createRng(seed).split(method.train ? "train" : "predict"),
        batchSize: SCORING_ROWS,
        progress,
        style,
        chat,
        label: comparing.label,
        checkpoint: method.train && checkpoint,
      });
      const files = [await saveCalibrator(checkpoint, fitted.calibrator)];
      if (!method.train) {
        files.push(
          await writeMethod(checkpoint, {
            method: method.name,
            options,
            base_model_name_or_path: modelName,
            base_model_fingerprint: model.fingerprint,
          }),
        );
      }
      return files;
    },
  });
  return { calibrator: scaled.record.about.calibrator as unknown as Calibrator, skipped: scaled.skipped };
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

/** The files of the checkpoint that a method says it wrote. */
async function filesOf(method: Method, folder: string): Promise<string[]> {
  const files: string[] = [];
  if (typeof folder === "string" && folder !== "" && await exists(folder)) {
    for await (const { name, isFile } of Deno.readDir(folder)) if (isFile) files.push(join(folder, name));
  }
  if (files.length > 0) return files.sort();
  throw new UserError({
    kind: "plugin",
    what: `Method "${method.name}" wrote no checkpoint`,
    where: folder || "train()",
    fix: "train() has to write files into a folder of its context's folder, and to give that folder back",
  });
}

const isTrainable = (method: Method): method is TrainableMethod => method.train !== undefined;

/** @throws {UserError} of kind `usage` for a method that needs no training, where nothing is to be calibrated either */
function checkWorth(method: Method, scale: boolean): void {
  if (isTrainable(method) || scale) return;
  throw new UserError({
    kind: "usage",
    what: `Method "${method.name}" needs no training`,
    where: `--method=${method.name}`,
    fix: `evaluate with it: deno task evaluate --method=${method.name}; or give --scale-temp to calibrate it`,
  });
}

/** The method that a command line means, and the labeler by which it compares answers, if it is not trained. */
async function peekPlugins(args: readonly string[], session: Session) {
  const method = await peekMethod(args, session, METHOD);
  if (isTrainable(method)) return { method };
  return { method, labeler: peekLabeler(args, session, UNTRAINED_FLAGS.strategy.default) };
}

type Plugins = Awaited<ReturnType<typeof peekPlugins>>;

const furtherFlags = ({ method, labeler }: Plugins): FlagSet => ({
  ...(labeler ? { ...UNTRAINED_FLAGS, ...optionFlags(labeler) } : {}),
  ...optionFlags(method),
});

/** Reads a command line; a method without training has none of its flags. */
function readFlags(command: string, args: readonly string[], plugins: Plugins) {
  const further = furtherFlags(plugins);
  if (!plugins.labeler) return parseFlags(command, TUNE_FLAGS, args, further);
  const { values, extra } = parseFlags(command, FIT_FLAGS, args, further);
  return { values: { ...defaultsOf(TRAINING_FLAGS), ...values }, extra };
}

const task: Task = {
  command: "deno task calibration-tune",
  summary: "Teach a model to know when its answers are right. Writes checkpoint-<step>/.",
  example:
    "deno task calibration-tune --dataset=offline:runs/mine/labels --model-name=facts --log-dir=runs/mine " +
    "--max-steps=300 --scale-temp",
  async flags(args, session) {
    const plugins = await peekPlugins(args, session);
    return { ...(plugins.labeler ? FIT_FLAGS : TUNE_FLAGS), ...furtherFlags(plugins) };
  },
  async run(args, session) {
    const plugins = await peekPlugins(args, session), { method, labeler } = plugins;
    const { values, extra } = readFlags(this.command, args, plugins);
    using run = await openRun(values["log-dir"]);
    const own = Object.keys(UNTRAINED_FLAGS).filter((name) => name in extra);
    const flags = { ...values, ...Object.fromEntries(own.map((name) => [name, String(extra[name])])) };
    const options = optionsOf(method, extra), labelerOptions = optionsOf(labeler, extra);
    const result = await calibrationTune(session, flags, options, run, "refuse", labelerOptions);
    const made = method.train ? "adapter" : "calibrator";
    print(
      `${made} in ${result.checkpoint}${result.calibrator ? `, ${calibratorText(result.calibrator)}` : ""}`,
    );
    return result;
  },
};

if (import.meta.main) await runTask(task);
