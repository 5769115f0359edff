/** A fitted calibrator beside an adapter or a classifier: a temperature as the research code keeps it, others as JSON. */
import { join } from "node:path";
import type { Calibrator } from "../core/calibrators.ts";
import { dataError, exists, readJson, writeJsonAtomic } from "../core/files.ts";
import {
  ANSWER_FILE,
  findTemperature,
  loadTemperature,
  readTemperature,
  saveTemperature,
  TEMPERATURE_FILE,
} from "./temperature_file.ts";

/** What every other calibrator than a temperature is kept in. */
export const CALIBRATOR_FILE = "calibrator.json";

/** Writes a calibrator into a checkpoint's folder, in place of the one that is there; gives back the path of its file. */
export async function saveCalibrator(folder: string, calibrator: Calibrator): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  if (calibrator.kind === "temperature") {
    const path = await saveTemperature(folder, calibrator.temperature);
    await removeIfThere(join(folder, CALIBRATOR_FILE));
    return path;
  }
  const path = join(folder, CALIBRATOR_FILE);
  await writeJsonAtomic(path, calibrator);
  await removeIfThere(join(folder, TEMPERATURE_FILE));
  return path;
}

/** Whether a checkpoint's folder has the file of a calibrator. */
export async function hasCalibrator(folder: string): Promise<boolean> {
  return await exists(join(folder, CALIBRATOR_FILE)) || await findTemperature(folder) !== undefined;
}

/**
 * The calibrator in a checkpoint's folder.
 *
 * @param ofAnswers whether it is that of the model's own answers, which the research code keeps in another file
 * @throws {UserError} of kind `data` if none was fitted, or it is damaged
 */
export async function loadCalibrator(folder: string, ofAnswers = false): Promise<Calibrator> {
  const path = join(folder, CALIBRATOR_FILE), answers = join(folder, ANSWER_FILE);
  if (!await exists(path)) {
    const isTheirs = ofAnswers && await findTemperature(folder) === undefined && await exists(answers);
    const temperature = isTheirs ? await readTemperature(answers) : await loadTemperature(folder);
    return { kind: "temperature", temperature };
  }
  const calibrator = await readJson(path) as Calibrator;
  if (isSound(calibrator)) return calibrator;
  throw dataError("It holds no usable calibrator", path, "fit it again, with --scale-temp");
}

/** Whether parsed JSON is a calibrator with all its numbers. */
function isSound(value: unknown): boolean {
  const found = value as Partial<Record<string, unknown>> | null;
  const areNumbers = (...values: unknown[]) => values.every((value) => Number.isFinite(value));
  switch (found?.kind) {
    case "platt":
      return areNumbers(found.slope, found.intercept);
    case "beta":
      return areNumbers(found.a, found.b, found.c);
    case "isotonic": {
      const { confidences, probabilities } = found;
      if (!Array.isArray(confidences) || !Array.isArray(probabilities)) return false;
      const rises = (list: readonly number[]) =>
        list.every((value, index) => value >= 0 && value <= 1 && !(value < list[index - 1]));
      return confidences.length > 0 && confidences.length === probabilities.length && rises(confidences) &&
        rises(probabilities);
    }
    default:
      return false;
  }
}

async function removeIfThere(path: string): Promise<void> {
  if (await exists(path)) await Deno.remove(path);
}
