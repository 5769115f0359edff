/** Checkpoints of a training: written whole or not at all, and gone on from only by the training that made them. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  dataError,
  differences,
  exists,
  type Json,
  readJson,
  syncFolder,
  writeJsonAtomic,
} from "../../core/mod.ts";

/** What decides a training's results; a checkpoint keeps it, so that another training does not go on from it. */
export type TrainingIdentity = Readonly<Record<string, Json>>;

/** What is written last into a checkpoint: one without it is not complete. */
const LAST_FILE = "trainer_state.json";

/** Only what is complete has this name. */
const CHECKPOINT = /^checkpoint-(\d+)$/;

/** A hash of examples, of which two trainings on the same rows and tokens have the same. */
export function hashExamples(...lists: readonly (readonly unknown[])[]): string {
  const hash = createHash("sha256");
  for (const list of lists) {
    hash.update(`${list.length}\n`);
    for (const example of list) hash.update(`${JSON.stringify(example)}\n`);
  }
  return hash.digest("hex");
}

/**
 * Writes `checkpoint-<step>`: under another name, renamed when complete, so that what has its name is whole.
 *
 * @param write writes the files of the checkpoint into the folder it is given
 * @returns the folder
 */
export async function saveCheckpoint(
  folder: string,
  step: number,
  training: TrainingIdentity,
  write: (folder: string) => Promise<void>,
): Promise<string> {
  const path = join(folder, `checkpoint-${step}`), temporary = `${path}.tmp`;
  if (await exists(temporary)) await Deno.remove(temporary, { recursive: true });
  await write(temporary);
  await writeJsonAtomic(join(temporary, LAST_FILE), { global_step: step, training });
  // Only one that is not complete can have the name: training goes on behind the newest complete one.
  if (await exists(path)) await Deno.remove(path, { recursive: true });
  await Deno.rename(temporary, path);
  await syncFolder(folder);
  return path;
}

/**
 * The newest complete checkpoint of a folder, or nothing if there is none.
 *
 * @throws {UserError} of kind `data` if another training made it, naming what differs
 */
export async function newestCheckpoint(
  folder: string,
  training: TrainingIdentity,
): Promise<string | undefined> {
  if (!await exists(folder)) return undefined;
  const steps: number[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    const step = CHECKPOINT.exec(name)?.[1];
    if (step !== undefined) steps.push(Number(step));
  }
  for (const step of steps.toSorted((a, b) => b - a)) {
    const path = join(folder, `checkpoint-${step}`), last = join(path, LAST_FILE);
    if (!await exists(last)) continue;
    checkIdentity(last, await readJson(last), training);
    return path;
  }
  return undefined;
}

function checkIdentity(path: string, state: unknown, training: TrainingIdentity): void {
  const fix = "train into another folder, or move this checkpoint away";
  const before = (state as { readonly training?: TrainingIdentity } | null)?.training;
  if (before === undefined) throw dataError("The checkpoint does not say what it was made from", path, fix);
  const [first] = differences(before, training);
  if (first === undefined) return;
  const { path: key, was, is } = first;
  throw dataError(
    `The checkpoint is of another training: ${key} was ${JSON.stringify(was)}, is ${JSON.stringify(is)}`,
    path,
    fix,
  );
}
