/** Hashes that tell models apart, and which model a checkpoint was trained on. */
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import type { BaseModel } from "../core/base_model.ts";
import { exists, readJson, readText } from "../core/files.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { HEAD } from "./layout.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { tokenizerPath } from "./tokenizer.ts";

/** Key of {@linkcode weightsFingerprint} in the metadata of an adapter's file, and in the other files of a checkpoint. */
export const FINGERPRINT_KEY = "base_model_fingerprint";

/** An adapter's weights, in PEFT's format. */
export const ADAPTER_FILE = "adapter_model.safetensors";

/** Files that say what else in a checkpoint belongs to which model: a classifier, a calibrator. */
const OTHER_FILES: readonly string[] = ["classifier_config.json", "method_config.json"];

/** Bytes of a checkpoint file that stand for the whole in its fingerprint, at either end. */
const FINGERPRINT_BYTES = 1 << 20;

/** Values of a tensor whose signs count. */
const VALUES = 1024;

/**
 * Tells a model's weights from those of another one, of a fine-tuned one too: a hash of the signs of the first values of
 * its tensors. Signs stay what they are when a checkpoint is saved in another precision, or in other files. Beside an
 * embedding that is tied to it, the head may or may not be there, so it does not count.
 */
export async function weightsFingerprint(checkpoint: Checkpoint): Promise<string> {
  const hash = createHash("sha256"), bytes = new Uint8Array(4 * VALUES);
  const tensors = checkpoint.tensors().filter(({ entry }) => entry.name !== HEAD);
  for (const { file, entry } of tensors.sort((a, b) => a.entry.name < b.entry.name ? -1 : 1)) {
    const { name, shape } = entry, count = shape.reduce((product, size) => product * size, 1);
    hash.update(`${name}\0${shape.join()}\0`);
    const width = entry.bytes / count;
    for await (const chunk of file.chunks(entry, bytes.subarray(0, Math.min(entry.bytes, width * VALUES)))) {
      // The sign is the highest bit of a value's last byte.
      hash.update(chunk.filter((_, index) => index % width === width - 1).map((byte) => byte >> 7));
      break;
    }
  }
  return hash.digest("hex");
}

/** A hash of a model's files that takes no longer for large ones: configuration, sizes, headers and ends. */
export async function modelFingerprint(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]) {
    const path = join(folder, name);
    if (await exists(path)) hash.update(`${name}\0${await readText(path)}\0`);
  }
  const files: string[] = [];
  for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".safetensors")) files.push(name);
  const tokenizer = basename(await tokenizerPath(folder));
  if (tokenizer === "tokenizer.model") files.push(tokenizer);
  for (const name of files.sort()) {
    using file = await Deno.open(join(folder, name));
    const { size } = await file.stat();
    hash.update(`${name}\0${size}\0`);
    for (const start of [0, Math.max(0, size - FINGERPRINT_BYTES)]) {
      await file.seek(start, Deno.SeekMode.Start);
      const bytes = new Uint8Array(Math.min(FINGERPRINT_BYTES, size));
      for (let done = 0; done < bytes.length;) {
        const read = await file.read(bytes.subarray(done));
        if (read === null) break;
        done += read;
      }
      hash.update(bytes);
    }
  }
  return hash.digest("hex");
}

/** What a checkpoint says about the model it belongs to; nothing where it says nothing. */
export async function readBaseModel(folder: string): Promise<BaseModel> {
  let base: BaseModel = {};
  for (const file of ["adapter_config.json", ...OTHER_FILES]) {
    const path = join(folder, file);
    if (await exists(path)) base = { ...base, ...baseOf(await readJson(path)) };
  }
  const path = join(folder, ADAPTER_FILE);
  if (!await exists(path)) return base;
  using adapter = await SafetensorsFile.open(path);
  return { ...base, ...baseOf(adapter.metadata) };
}

function baseOf(config: unknown): BaseModel {
  if (typeof config !== "object" || config === null) return {};
  const { base_model_name_or_path: name, [FINGERPRINT_KEY]: fingerprint } = config as Record<string, unknown>;
  return {
    ...(typeof name === "string" && name !== "" && { name }),
    ...(typeof fingerprint === "string" && { fingerprint }),
  };
}
