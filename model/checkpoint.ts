import { join } from "node:path";
import { dataError, exists, readJson } from "../core/files.ts";
import type { TransformerDescription } from "../core/types.ts";
import { SafetensorsFile, type TensorEntry } from "./safetensors.ts";

/** Tensors that old exporters wrote and that hold nothing a model needs. */
const IGNORED = /\.rotary_emb\.inv_freq$/;

/** The tensors of one checkpoint folder, wherever its files hold them. */
export class Checkpoint implements Disposable {
  readonly folder: string;
  readonly #files: readonly SafetensorsFile[];
  readonly #entries: ReadonlyMap<string, { readonly file: SafetensorsFile; readonly entry: TensorEntry }>;

  private constructor(folder: string, files: readonly SafetensorsFile[]) {
    this.folder = folder;
    this.#files = files;
    this.#entries = new Map(
      files.flatMap((file) =>
        [...file.tensors.values()].map((entry) => [entry.name, { file, entry }] as const)
      ),
    );
  }

  /** Opens `model.safetensors`, or all files that `model.safetensors.index.json` names. */
  static async open(folder: string): Promise<Checkpoint> {
    const names = await fileNames(folder);
    const files: SafetensorsFile[] = [];
    try {
      for (const name of names) files.push(await SafetensorsFile.open(join(folder, name)));
    } catch (error) {
      files.forEach((file) => file[Symbol.dispose]());
      throw error;
    }
    return new Checkpoint(folder, files);
  }

  /** Refuses a checkpoint that lacks a tensor, has one too many, or has one of another shape. */
  check(shapes: ReadonlyMap<string, readonly number[]>): void {
    for (const [name, shape] of shapes) {
      const { entry } = this.find(name);
      if (entry.shape.join() !== shape.join()) {
        throw this.#error(
          `Tensor "${name}" has shape [${entry.shape.join(", ")}], but config.json needs [${
            shape.join(", ")
          }]`,
          "use the config.json and the weights of the same model",
        );
      }
    }
    for (const name of this.#entries.keys()) {
      if (!shapes.has(name) && !IGNORED.test(name)) {
        throw this.#error(
          `Tensor "${name}" has no place in this model`,
          "use the config.json and the weights of the same model; adapters are loaded with --query-peft-dir",
        );
      }
    }
  }

  /** A tensor by name. */
  find(name: string): { readonly file: SafetensorsFile; readonly entry: TensorEntry } {
    const found = this.#entries.get(name);
    if (!found) throw this.#error(`Tensor "${name}" is missing`, "download or save the checkpoint again");
    return found;
  }

  [Symbol.dispose](): void {
    this.#files.forEach((file) => file[Symbol.dispose]());
  }

  #error(what: string, fix: string): Error {
    return dataError(what, this.folder, fix);
  }
}

async function fileNames(folder: string): Promise<readonly string[]> {
  const index = join(folder, "model.safetensors.index.json");
  if (!await exists(index)) {
    if (await exists(join(folder, "model.safetensors"))) return ["model.safetensors"];
    throw dataError(
      "No model.safetensors and no model.safetensors.index.json",
      folder,
      "point --model-name to a folder with a Hugging Face checkpoint in safetensors format",
    );
  }
  const { weight_map: map } = await readJson(index) as { weight_map?: unknown };
  const names = typeof map === "object" && map !== null ? [...new Set(Object.values(map))] : [];
  const bad = names.find((name) => typeof name !== "string" || !/^[^/\\]+\.safetensors$/.test(name));
  if (names.length === 0 || bad !== undefined) {
    throw dataError(
      names.length === 0 ? "The index names no files" : `The index names the file ${JSON.stringify(bad)}`,
      index,
      "download the checkpoint again: an index names files of its own folder",
    );
  }
  return names as string[];
}

/** Names and shapes of a Llama checkpoint's tensors, as transformers writes them. */
export function tensorShapes(model: TransformerDescription): Map<string, readonly number[]> {
  const { width, heads, kvHeads, headDim, feedForward, vocabulary } = model;
  const shapes = new Map<string, readonly number[]>([
    ["model.embed_tokens.weight", [vocabulary, width]],
    ["model.norm.weight", [width]],
  ]);
  if (!model.tiedEmbeddings) shapes.set("lm_head.weight", [vocabulary, width]);
  for (let layer = 0; layer < model.layers; layer++) {
    for (
      const [name, shape] of Object.entries({
        "input_layernorm": [width],
        "self_attn.q_proj": [heads * headDim, width],
        "self_attn.k_proj": [kvHeads * headDim, width],
        "self_attn.v_proj": [kvHeads * headDim, width],
        "self_attn.o_proj": [width, heads * headDim],
        "post_attention_layernorm": [width],
        "mlp.gate_proj": [feedForward, width],
        "mlp.up_proj": [feedForward, width],
        "mlp.down_proj": [width, feedForward],
      })
    ) shapes.set(`model.layers.${layer}.${name}.weight`, shape);
  }
  return shapes;
}
