/** PEFT's files for a LoRA adapter: `adapter_config.json` and `adapter_model.safetensors`. */
import { join } from "node:path";
import { dataError, exists } from "../core/files.ts";
import type { AdapterQuery, LoraOptions, TransformerDescription } from "../core/types.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { LoraAdapter, type LoraSite } from "./adapter.ts";
import { ADAPTER_FILE, FINGERPRINT_KEY } from "./fingerprint.ts";
import { readAdapterConfig, writeAdapterConfig } from "./adapter_config.ts";
import { CLASSIFIER_FILES } from "./classifier_file.ts";
import { moduleName, type PlannedSite, planSites } from "./lora_sites.ts";
import { type NamedTensor, SafetensorsFile, type TensorEntry, writeSafetensors } from "./safetensors.ts";
import { findTemperature } from "./temperature_file.ts";

const CONFIG = "adapter_config.json";

/** Writes an adapter so that PEFT loads it, with the name and the fingerprint of the model that it belongs to. */
export async function saveAdapter(
  adapter: LoraAdapter,
  folder: string,
  baseModel: string,
  asked?: AdapterQuery,
  fingerprint?: string,
): Promise<void> {
  const values = await adapter.gpu.readF32(adapter.values);
  const tensors = adapter.sites.flatMap((site) =>
    partsOf(site).map((part): NamedTensor => ({
      name: tensorName(site, part),
      shape: part.shape,
      values: take(values, part),
    }))
  );
  // In the configuration PEFT would warn of it.
  const metadata = { format: "pt", ...(fingerprint !== undefined && { [FINGERPRINT_KEY]: fingerprint }) };
  await writeSafetensors(join(folder, ADAPTER_FILE), tensors, metadata);
  await writeAdapterConfig(join(folder, CONFIG), adapter.options, baseModel, asked);
}

/**
 * Loads an adapter that PEFT, the research code or {@linkcode saveAdapter} wrote.
 *
 * @throws {UserError} of kind `data`, before it uses the GPU, if there is none, or a tensor is missing, of another shape,
 * or in excess
 */
export async function loadAdapter(
  gpu: Gpu,
  model: TransformerDescription,
  folder: string,
): Promise<LoraAdapter> {
  const path = join(folder, CONFIG);
  if (!await exists(path)) await refuseOther(folder);
  const { options, usesTemperature, ...about } = await readAdapterConfig(path);
  using file = await SafetensorsFile.open(join(folder, ADAPTER_FILE));
  checkTensors(file, planSites(model, options, path), options);
  const temperature = usesTemperature || await findTemperature(folder) !== undefined;
  const adapter = new LoraAdapter(gpu, model, options, { where: path, info: { ...about, temperature } });
  try {
    const values = new Float32Array(adapter.values.shape[0]);
    for (const site of adapter.sites) {
      for (const part of partsOf(site)) put(values, part, await file.values(findTensor(file, site, part)));
    }
    gpu.write(adapter.values, values);
    return adapter;
  } catch (error) {
    adapter.free();
    throw error;
  }
}

/** What a tensor of a site is called, and its shape. */
interface SiteTensor {
  readonly suffix: "lora_A" | "lora_B" | "lora_B.bias";
  readonly shape: readonly number[];
}

/** Where it lies in the flat vector: rows of `columns`, `stride` from one to the next. */
interface SitePart extends SiteTensor {
  readonly first: number;
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
}

function tensorsOf({ rank, inputs, outputs }: PlannedSite, withBias: boolean): SiteTensor[] {
  return [
    { suffix: "lora_A", shape: [rank, inputs] },
    { suffix: "lora_B", shape: [outputs, rank] },
    ...(withBias ? [{ suffix: "lora_B.bias", shape: [outputs] } as const] : []),
  ];
}

function partsOf(site: LoraSite): SitePart[] {
  const firsts = [site.aFirst, site.bFirst, site.biasFirst!];
  return tensorsOf(site, site.biasFirst !== undefined).map((tensor, index) => {
    const columns = tensor.shape.at(-1)!, rows = tensor.shape.length === 2 ? tensor.shape[0] : 1;
    const stride = tensor.suffix === "lora_B" ? site.paddedRank : columns;
    return { ...tensor, first: firsts[index], rows, columns, stride };
  });
}

/** PEFT's name of a tensor; some files name the adapter in it too. */
function tensorName({ layer, name }: PlannedSite, { suffix }: SiteTensor, adapterName = ""): string {
  const [matrix, parameter = "weight"] = suffix.split(".");
  return `base_model.model.${moduleName(layer, name)}.${matrix}${adapterName}.${parameter}`;
}

function checkTensors(file: SafetensorsFile, sites: readonly PlannedSite[], { loraBias }: LoraOptions): void {
  const rest = new Set(file.tensors.keys());
  for (const site of sites) {
    for (const tensor of tensorsOf(site, loraBias === true)) rest.delete(findTensor(file, site, tensor).name);
  }
  for (const extra of rest) {
    throw dataError(
      `Tensor "${extra}" has no place in this adapter`,
      file.path,
      "use an adapter for this model",
    );
  }
}

function findTensor(file: SafetensorsFile, site: PlannedSite, tensor: SiteTensor): TensorEntry {
  const plain = tensorName(site, tensor), named = tensorName(site, tensor, ".default");
  const entry = file.tensors.get(plain) ?? file.tensors.get(named);
  if (entry?.shape.join() === tensor.shape.join()) return entry;
  const is = entry ? `has shape [${entry.shape.join(", ")}]` : "is missing";
  throw dataError(
    `Tensor "${entry?.name ?? plain}" ${is}, but the model and adapter_config.json need [${
      tensor.shape.join(", ")
    }]`,
    file.path,
    "use the adapter with the model it was trained on",
  );
}

/** A tensor without what fills its rank up to a multiple of 4. */
function take(values: Float32Array, { first, rows, columns, stride }: SitePart): Float32Array<ArrayBuffer> {
  const tensor = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const start = first + row * stride;
    tensor.set(values.subarray(start, start + columns), row * columns);
  }
  return tensor;
}

/** The opposite of {@linkcode take}. */
function put(values: Float32Array, { first, rows, columns, stride }: SitePart, tensor: Float32Array): void {
  for (let row = 0; row < rows; row++) {
    values.set(tensor.subarray(row * columns, (row + 1) * columns), first + row * stride);
  }
}

/** @throws {UserError} of kind `data` for the checkpoint of a method that trains no adapter */
async function refuseOther(folder: string): Promise<void> {
  for (const name of CLASSIFIER_FILES) {
    if (!await exists(join(folder, name))) continue;
    throw dataError(
      "The checkpoint holds a classifier, and no adapter that could be asked",
      join(folder, name),
      "name the method that reads it, as in --method=probe",
    );
  }
}
