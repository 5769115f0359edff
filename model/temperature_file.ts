/** A fitted temperature beside an adapter, as the research code and its released adapters keep it. */
import { join } from "node:path";
import { dataError, exists } from "../core/files.ts";
import { findClassifier, readClassifier } from "./classifier_file.ts";
import { writeSafetensors } from "./safetensors.ts";
import { withStateFile } from "./state_file.ts";

/** What a temperature is written to. */
export const TEMPERATURE_FILE = "temperature_model.safetensors";

/** Files that may hold the temperature of an adapter's confidence, the first that is there counting. */
const FILES = [
  TEMPERATURE_FILE,
  "temperature_model.pt",
  "query_temperature_head.bin",
] as const;

/** What the research code calls the temperature of a model's own answers. */
export const ANSWER_FILE = "temperature_head.bin";

/** Writes a temperature into an adapter's folder; gives back the path of the file. */
export async function saveTemperature(folder: string, temperature: number): Promise<string> {
  const path = join(folder, TEMPERATURE_FILE);
  await writeSafetensors(path, [
    { name: "log_temperature", shape: [], values: Float32Array.of(Math.log(temperature)) },
  ]);
  return path;
}

/** Path of the file with the temperature of an adapter's confidence, if its folder has one. */
export async function findTemperature(folder: string): Promise<string | undefined> {
  for (const name of FILES) {
    const path = join(folder, name);
    if (await exists(path)) return path;
  }
  return undefined;
}

/** The temperature in an adapter's folder. @throws {UserError} of kind `data` if none was fitted */
export async function loadTemperature(folder: string): Promise<number> {
  const path = await findTemperature(folder);
  if (path !== undefined) return await readTemperature(path);
  // The research code puts the temperature of a classifier into the classifier's own file.
  const classifier = await findClassifier(folder);
  const scaled = classifier === undefined ? 1 : (await readClassifier(classifier)).temperature;
  if (scaled !== 1) return scaled;
  const hint = await exists(join(folder, ANSWER_FILE))
    ? `; ${ANSWER_FILE} scales the model's own answers and is not used here`
    : "";
  throw dataError(
    `No temperature was fitted for this adapter: there is no ${FILES.join(", ")}${hint}`,
    folder,
    "train with --scale-temp, or evaluate without it",
  );
}

/**
 * The temperature in a file: the exponential of its only tensor, `log_temperature`, of one value. The research code
 * writes such files for confidences and, as `temperature_head.bin`, for answers.
 *
 * @throws {UserError} of kind `data` if there is no such value
 */
export async function readTemperature(path: string): Promise<number> {
  return await withStateFile(path, async (tensors) => {
    // Saved as a part of something larger, the name has its place in front.
    const [[name, tensor] = ["", undefined], ...others] = tensors;
    const fits = others.length === 0 && /(^|\.)log_temperature$/.test(name) &&
      ["", "1"].includes(tensor!.shape.join());
    const value = fits ? (await tensor!.values())[0] : NaN;
    const temperature = Math.exp(value);
    if (Number.isFinite(temperature) && temperature > 0) return temperature;
    throw dataError('There is no usable "log_temperature" of one value', path, "fit the temperature again");
  });
}
