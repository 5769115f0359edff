import { createHash } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import { checkBaseModel, dataError, exists, hashFile } from "../core/mod.ts";
import { CALIBRATOR_FILE } from "../model/calibrator_file.ts";
import { readBaseModel } from "../model/fingerprint.ts";
import { TEMPERATURE_FILE } from "../model/temperature_file.ts";
import { trainingOf } from "./_adapter_run.ts";
import { note } from "./_io.ts";
import type { Session } from "./_session.ts";

/** Written beside an adapter after it was trained, and recorded by themselves. */
const CALIBRATOR_FILES: readonly string[] = [TEMPERATURE_FILE, CALIBRATOR_FILE];

/** Names of a checkpoint's files. @throws {UserError} of kind `data` for a folder that is none, but holds some */
export async function checkpointFiles(folder: string): Promise<readonly string[]> {
  if (!await exists(folder) || !(await Deno.stat(folder)).isDirectory) {
    throw dataError(
      `There is no checkpoint ${folder}`,
      folder,
      "check the path, or train with calibration-tune: a checkpoint is a folder",
    );
  }
  const files: string[] = [], steps: number[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
    if (step !== undefined) steps.push(Number(step));
    // A checkpoint of the Hub holds links to its files.
    if (!isDirectory) files.push(name);
  }
  if (steps.length > 0) {
    const fix = `name one of them, as in ${join(folder, `checkpoint-${Math.max(...steps)}`)}`;
    throw dataError(`${folder} is the folder of a run, which holds checkpoints`, folder, fix);
  }
  return files.sort();
}

/** Hash of all files of a checkpoint, whichever its method wrote; without its calibrator. */
export async function checkpointFingerprint(folder: string): Promise<string> {
  const files = (await checkpointFiles(folder)).filter((name) => !CALIBRATOR_FILES.includes(name));
  const hash = createHash("sha256");
  for (const name of files) hash.update(`${name}\0${await hashFile(join(folder, name))}\0`);
  return hash.digest("hex");
}

/**
 * Refuses a checkpoint that was trained on other weights than a model's, before anything is computed with it. One that
 * names its model and not the weights, as PEFT's do, is used, and the user is told if the names differ.
 */
export async function checkCheckpoint(
  session: Session,
  modelName: string,
  folder: string,
  tell: (text: string) => void = note,
): Promise<void> {
  await checkpointFiles(folder);
  const base = await readBaseModel(folder);
  if (base.fingerprint !== undefined) {
    const model = { name: modelName, fingerprint: await session.weightsFingerprint(modelName) };
    checkBaseModel(model, base, "checkpoint", folder);
    return;
  }
  const called = [modelName, session.hubName(modelName) ?? modelName];
  if (base.name === undefined || called.some((name) => sameModel(name, base.name!))) return;
  tell(`${folder} is for the model ${base.name}; that this is ${modelName} cannot be checked.`);
}

/** Says that a checkpoint of a run was trained on answers to questions in other words: its confidence may not hold. */
export async function noteStyle(
  checkpoint: string,
  style: string,
  tell: (text: string) => void = note,
): Promise<void> {
  const run = dirname(resolve(checkpoint));
  if (!await exists(checkpoint) || !await exists(join(run, "run.json"))) return;
  const { promptStyle = style } = await trainingOf(run, checkpoint) ?? {};
  if (promptStyle === style) return;
  tell(`${checkpoint} was trained on answers in prompt style ${promptStyle}; this measures it on ${style}.`);
}

/** Whether two names may be those of one model, which may lie in a folder or on the Hub, at some revision. */
function sameModel(first: string, second: string): boolean {
  const bare = (name: string) => basename(name.replace(/^hf:/, "").replace(/@[^/]*$/, "")).toLowerCase();
  return bare(first) === bare(second);
}
