/** A fitted temperature beside an adapter, as the research code's released adapters keep it. */
import { join } from "node:path";
import { dataError, exists } from "../core/files.ts";
import { SafetensorsFile, writeSafetensors } from "./safetensors.ts";

const FILE = "temperature_model.safetensors";

/** Writes a temperature into an adapter's folder; gives back the path of the file. */
export async function saveTemperature(folder: string, temperature: number): Promise<string> {
  const path = join(folder, FILE);
  await writeSafetensors(path, [
    { name: "log_temperature", shape: [], values: Float32Array.of(Math.log(temperature)) },
  ]);
  return path;
}

/** The temperature in an adapter's folder. @throws {UserError} of kind `data` if none was fitted */
export async function loadTemperature(folder: string): Promise<number> {
  const path = join(folder, FILE);
  if (!await exists(path)) {
    throw dataError(
      "No temperature was fitted for this adapter",
      path,
      "train with --scale-temp, or evaluate without it",
    );
  }
  using file = await SafetensorsFile.open(path);
  const entry = file.tensors.get("log_temperature");
  const values = entry && await file.values(entry);
  const temperature = values?.length === 1 ? Math.exp(values[0]) : NaN;
  if (!Number.isFinite(temperature) || temperature === 0) {
    throw dataError('There is no usable "log_temperature" of one value', path, "fit the temperature again");
  }
  return temperature;
}
