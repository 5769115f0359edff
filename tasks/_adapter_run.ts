/** What the files of runs say about an adapter: how it was trained, and how well it does. */
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import {
  type Calibrator,
  dataError,
  type Estimate,
  exists,
  hashFile,
  type Json,
  readJson,
  type Undefined,
} from "../core/mod.ts";
import { type StoredCalibrator, storedCalibrator } from "./_calibrator_text.ts";

/** What `run.json` says about a stage, as far as it matters here. */
interface Stage {
  readonly inputs: Readonly<Record<string, Json>>;
  readonly outputs: Readonly<Record<string, string>>;
}

type Stages = Readonly<Record<string, Stage>>;
type Fields = Readonly<Record<string, Json>>;

/** How an adapter was trained. */
export interface Training {
  /** The model it is for, as `run.json` describes it. */
  readonly model: Fields;
  /** The questions, by the name of their dataset. */
  readonly dataset: string;
  /** How they were worded, if a run says so. */
  readonly promptStyle?: string;
  /** Who decided which answers were right, if the run says so. */
  readonly labeler?: string;
  /** Method, its options, and the steps. */
  readonly settings: Fields;
}

/** One evaluation of an adapter. */
export interface AdapterEvaluation {
  readonly dataset: string;
  readonly split: string;
  /** What its confidences were mapped by. */
  readonly calibrator: Calibrator | null;
  readonly n: number;
  readonly undecided: number;
  /** Absent in evaluations from before methods might give no confidence. */
  readonly unscored?: number;
  readonly metrics: Readonly<Record<string, Estimate | Undefined>>;
}

/** The folder of the checkpoint that a run's training ended with. */
export async function trainedCheckpoint(logDir: string): Promise<string> {
  const outputs = Object.keys((await stagesOf(logDir)).train?.outputs ?? {});
  if (outputs.length > 0) return join(logDir, dirname(outputs[0]));
  throw dataError(
    `${logDir} has no finished training`,
    join(logDir, "run.json"),
    "train with deno task calibration-tune, or name the checkpoint with --query-peft-dir",
  );
}

/** How a checkpoint was trained, if a run says that it wrote it as it is. */
export async function trainingOf(logDir: string, checkpoint: string): Promise<Training | undefined> {
  const stages = await stagesOf(logDir);
  const adapter = "adapter_model.safetensors";
  const file = await exists(join(checkpoint, adapter)) ? adapter : "classifier_model.safetensors";
  const recorded = stages.train?.outputs[join(basename(resolve(checkpoint)), file)];
  if (recorded === undefined || recorded !== await hashFile(join(checkpoint, file))) return undefined;
  const { method, options, batchSize, maxSteps, seed, model, dataset, limit } = stages.train.inputs;
  const labeler = stages["labels/train"]?.inputs.labeler;
  const runs = [stages, await stagesBeside(fields(dataset))];
  const style = fields(
    stages.train.inputs.promptStyle ?? askedIn(runs, "train", fields(dataset))?.promptStyle,
  );
  return {
    model: fields(model),
    dataset: questionsOf(runs, "train", fields(dataset)),
    ...(style.name !== undefined && { promptStyle: String(style.name) }),
    ...(labeler !== undefined && { labeler: String(fields(labeler).name) }),
    settings: {
      method: fields(method).name,
      ...withoutPaths(fields(options)),
      batchSize,
      maxSteps,
      seed,
      ...(limit !== null && limit !== undefined && { limit }),
      ...(fields(model).dtype !== undefined && { dtype: fields(model).dtype }),
    },
  };
}

/**
 * The evaluations that a run holds of an adapter; those in folders right below it count too.
 *
 * @param trainedIn the run that the adapter comes from, whose questions are known by name
 */
export async function evaluationsOf(
  logDir: string,
  fingerprint: string,
  trainedIn?: string,
): Promise<AdapterEvaluation[]> {
  const known = trainedIn === undefined ? {} : await stagesOf(trainedIn);
  const found: AdapterEvaluation[] = [];
  for (const folder of [logDir, ...await runsBelow(logDir)]) {
    const stages = await stagesOf(folder);
    for (const name of Object.keys(stages).filter((name) => name.startsWith("metrics/")).sort()) {
      const { inputs, outputs } = stages[name];
      if (fingerprintOf(inputs.adapter) !== fingerprint) continue;
      const { split, n, undecided, unscored = 0, calibrator, metrics } = await readSummary(folder, outputs);
      const dataset = questionsOf([known, stages], split, fields(inputs.dataset));
      found.push({ dataset, split, calibrator, n, undecided, unscored, metrics });
    }
  }
  return found;
}

/** `metrics.json` of an evaluation, as it was when it was written. */
async function readSummary(folder: string, outputs: Stage["outputs"]): Promise<AdapterEvaluation> {
  const [file] = Object.keys(outputs).filter((path) => basename(path) === "metrics.json");
  const path = join(folder, file ?? "metrics.json");
  if (file !== undefined && await hashFile(path) === outputs[file]) {
    const stored = await readJson(path) as AdapterEvaluation & StoredCalibrator;
    return { ...stored, calibrator: storedCalibrator(stored) };
  }
  throw dataError(`${path} was changed since the evaluation wrote it`, path, "evaluate again");
}

/** The name of the questions that rows are about: labelled answers that one of these runs made are about its own. */
function questionsOf(runs: readonly Stages[], split: string, dataset: Fields): string {
  if (dataset.name !== "offline") return datasetName(dataset);
  const asked = askedIn(runs, split, dataset)?.dataset;
  return asked === undefined ? "offline" : datasetName(fields(asked));
}

/** How the model was asked whose labelled answers a dataset holds, if one of these runs made them. */
function askedIn(runs: readonly Stages[], split: string, { revision }: Fields): Stage["inputs"] | undefined {
  const files = String(revision ?? "").split(" ");
  return runs.find((stages) =>
    Object.values(stages[`labels/${split}`]?.outputs ?? {}).some((hash) => files.includes(`${split}:${hash}`))
  )?.[`outputs/${split}`]?.inputs;
}

/** The stages of the run that labels lie in, if they lie in one. */
async function stagesBeside({ name, argument }: Fields): Promise<Stages> {
  const folder = dirname(String(argument ?? ""));
  return name === "offline" && await exists(join(folder, "run.json")) ? await stagesOf(folder) : {};
}

/** A dataset as users name it; a folder on this machine is nobody else's business. */
function datasetName({ name, argument }: Fields): string {
  return /^[\w.-]+$/.test(String(argument ?? "")) ? `${name}:${argument}` : String(name);
}

/** An adapter's fingerprint: alone, or beside its name and commit on the Hub. */
function fingerprintOf(adapter: Json | undefined): Json | undefined {
  return typeof adapter === "object" && adapter !== null ? fields(adapter).fingerprint : adapter;
}

/** Fields of which none says where something lies on this machine. */
export function withoutPaths(values: Fields): Fields {
  const bare = (value: Json) => typeof value === "string" && isAbsolute(value) ? basename(value) : value;
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, bare(value)]));
}

async function runsBelow(logDir: string): Promise<string[]> {
  const folders: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(logDir)) {
    if (isDirectory && await exists(join(logDir, name, "run.json"))) folders.push(join(logDir, name));
  }
  return folders.sort();
}

async function stagesOf(logDir: string): Promise<Stages> {
  const path = join(logDir, "run.json");
  if (!await exists(path)) {
    throw dataError(`${logDir} is not the folder of a run`, path, "give the --log-dir of one");
  }
  const { stages } = fields(await readJson(path) as Json);
  const sound = Object.values(fields(stages)).every((stage) =>
    isRecord(stage) && isRecord(stage.inputs) && isRecord(stage.outputs)
  );
  if (!sound || !isRecord(stages)) {
    throw dataError("Not the manifest of a run", path, "give another --log-dir");
  }
  return stages as unknown as Stages;
}

function isRecord(value: Json | undefined): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fields(value: Json | undefined): Fields {
  return isRecord(value) ? value : {};
}
