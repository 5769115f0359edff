/** PEFT's files for a LoRA adapter: `adapter_config.json` and `adapter_model.safetensors`. */
import { join } from "node:path";
import { dataError, writeJsonAtomic } from "../core/files.ts";
import type { LoraOptions, TransformerDescription } from "../core/types.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { LINEAR_NAMES, LoraAdapter, type LoraSite } from "./adapter.ts";
import { readConfigFile } from "./config_file.ts";
import { type NamedTensor, SafetensorsFile, writeSafetensors } from "./safetensors.ts";

/** Settings that are understood. */
const READ: ReadonlySet<string> = new Set(["peft_type", "r", "lora_alpha", "lora_dropout", "target_modules"]);

/** Settings of PEFT that change nothing about what a trained adapter computes. */
const HARMLESS: ReadonlySet<string> = new Set([
  "auto_mapping",
  "base_model_name_or_path",
  "corda_config",
  "ensure_weight_tying",
  "eva_config",
  "inference_mode",
  "loftq_config",
  "lora_ga_config",
  "megatron_config",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "runtime_config",
  "task_type",
]);

/**
 * Values of the settings that PEFT sets even where it does not use them. `init_lora_weights` is among them because
 * some ways to start, such as PiSSA, change the base weights too.
 */
const MUST_BE: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  init_lora_weights: [true, "gaussian", "orthogonal", "eva"],
};

/** Writes an adapter so that PEFT loads it; `baseModel` is the name of the model it belongs to. */
export async function saveAdapter(adapter: LoraAdapter, folder: string, baseModel: string): Promise<void> {
  const { rank, alpha, dropout, targetModules } = adapter.options;
  const values = await adapter.gpu.readF32(adapter.values);
  const tensors = adapter.sites.flatMap((site): NamedTensor[] => [
    {
      name: tensorName(site, "A"),
      shape: [rank, site.inputs],
      values: values.slice(site.aFirst, site.aFirst + rank * site.inputs),
    },
    { name: tensorName(site, "B"), shape: [site.outputs, rank], values: unpadded(values, site, rank) },
  ]);
  await writeSafetensors(join(folder, "adapter_model.safetensors"), tensors, { format: "pt" });
  await writeJsonAtomic(join(folder, "adapter_config.json"), {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: dropout,
    target_modules: targetModules,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    modules_to_save: null,
  });
}

/** Loads an adapter that PEFT or {@linkcode saveAdapter} wrote. */
export async function loadAdapter(
  gpu: Gpu,
  model: TransformerDescription,
  folder: string,
): Promise<LoraAdapter> {
  const options = await readConfig(join(folder, "adapter_config.json"));
  using file = await SafetensorsFile.open(join(folder, "adapter_model.safetensors"));
  const adapter = new LoraAdapter(gpu, model, options);
  try {
    const values = new Float32Array(adapter.values.shape[0]);
    const expected = new Set<string>();
    for (const site of adapter.sites) {
      const read = async (matrix: "A" | "B", shape: readonly number[]) => {
        const name = tensorName(site, matrix);
        expected.add(name);
        const entry = file.tensors.get(name);
        if (entry?.shape.join() !== shape.join()) {
          const is = entry ? `has shape [${entry.shape.join(", ")}]` : "is missing";
          throw dataError(
            `Tensor "${name}" ${is}, but the model and adapter_config.json need [${shape.join(", ")}]`,
            file.path,
            "use the adapter with the model it was trained on",
          );
        }
        return await file.values(entry);
      };
      values.set(await read("A", [options.rank, site.inputs]), site.aFirst);
      const b = await read("B", [site.outputs, options.rank]);
      for (let row = 0; row < site.outputs; row++) {
        values.set(b.subarray(row * options.rank, (row + 1) * options.rank), site.bFirst + row * site.rank);
      }
    }
    const extra = [...file.tensors.keys()].find((name) => !expected.has(name));
    if (extra !== undefined) {
      throw dataError(
        `Tensor "${extra}" has no place in this adapter`,
        file.path,
        "use an adapter for this model",
      );
    }
    gpu.write(adapter.values, values);
    return adapter;
  } catch (error) {
    adapter.free();
    throw error;
  }
}

function tensorName({ layer, name }: LoraSite, matrix: "A" | "B"): string {
  const block = name === "gate_proj" || name === "up_proj" || name === "down_proj" ? "mlp" : "self_attn";
  return `base_model.model.model.layers.${layer}.${block}.${name}.lora_${matrix}.weight`;
}

/** B without the columns that fill its rank up to a multiple of 4. */
function unpadded(values: Float32Array, site: LoraSite, rank: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    { length: site.outputs * rank },
    (_, index) => values[site.bFirst + Math.floor(index / rank) * site.rank + index % rank],
  );
}

/** Whether a setting is off, as PEFT writes that. */
function isUnset(value: unknown): boolean {
  return value === null || value === false || typeof value === "object" && Object.keys(value).length === 0;
}

async function readConfig(path: string): Promise<LoraOptions> {
  const config = await readConfigFile(path);
  const refuse = (key: string, wanted: string) =>
    dataError(
      `adapter_config.json has "${key}": ${JSON.stringify(config[key])}`,
      path,
      `only ${wanted} is implemented`,
    );
  if (config.peft_type !== "LORA") throw refuse("peft_type", '"LORA"');
  for (const [key, value] of Object.entries(config)) {
    if (READ.has(key) || HARMLESS.has(key) || isUnset(value)) continue;
    const allowed = Object.hasOwn(MUST_BE, key) ? MUST_BE[key] : [];
    if (allowed.includes(value)) continue;
    throw refuse(key, allowed.map((item) => JSON.stringify(item)).join(" or ") || "an adapter without it");
  }
  const { r, lora_alpha: alpha, lora_dropout: dropout = 0, target_modules: targets } = config;
  if (!Number.isInteger(r) || (r as number) < 1) throw refuse("r", "a whole number from 1");
  if (typeof alpha !== "number" || alpha <= 0) throw refuse("lora_alpha", "a number above 0");
  if (typeof dropout !== "number" || dropout < 0 || dropout >= 1) {
    throw refuse("lora_dropout", "a number in [0, 1)");
  }
  const known = (name: unknown) => (LINEAR_NAMES as readonly unknown[]).includes(name);
  if (!Array.isArray(targets) || targets.length === 0 || !targets.every(known)) {
    throw refuse("target_modules", `a list of ${LINEAR_NAMES.join(", ")}`);
  }
  return { rank: r as number, alpha, dropout, targetModules: targets as string[] };
}
