import { createHash } from "node:crypto";
import { join } from "node:path";
import { dataError, exists, hashFile } from "../core/mod.ts";
import { CALIBRATOR_FILE } from "../model/calibrator_file.ts";
import { TEMPERATURE_FILE } from "../model/temperature_file.ts";

/** Written beside an adapter after it was trained, and recorded by themselves. */
const CALIBRATOR_FILES: readonly string[] = [TEMPERATURE_FILE, CALIBRATOR_FILE];

/** Names of a checkpoint's files. @throws {UserError} of kind `data` for a folder that is none, but holds some */
export async function checkpointFiles(folder: string): Promise<readonly string[]> {
  if (!await exists(folder)) {
    throw dataError(
      `There is no checkpoint ${folder}`,
      folder,
      "check the path, or train with calibration-tune",
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
