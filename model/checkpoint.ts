import { basename, join } from "node:path";
import { dataError, exists } from "../core/files.ts";
import type { TransformerDescription } from "../core/types.ts";
import { readConfigFile } from "./config_file.ts";
import { SafetensorsFile, type TensorEntry } from "./safetensors.ts";

/** Tensors that old exporters wrote and that hold nothing a model needs. */
const IGNORED = /\.rotary_emb\.inv_freq$/;

const EMBEDDING = "model.embed_tokens.weight", HEAD = "lm_head.weight";

/** A tensor and the file that holds it. */
export interface StoredTensor {
  readonly file: SafetensorsFile;
  readonly entry: TensorEntry;
}

/** The tensors of one checkpoint folder, wherever its files hold them. */
export class Checkpoint implements Disposable {
  readonly folder: string;
  readonly #files: readonly SafetensorsFile[];
  readonly #entries: ReadonlyMap<string, StoredTensor>;

  private constructor(folder: string, files: readonly SafetensorsFile[]) {
    this.folder = folder;
    this.#files = files;
    this.#entries = entriesOf(files);
  }

  /** Opens `model.safetensors`, or all files that `model.safetensors.index.json` names. */
  static async open(folder: string): Promise<Checkpoint> {
    const names = await fileNames(folder);
    const files: SafetensorsFile[] = [];
    try {
      for (const name of names) files.push(await SafetensorsFile.open(join(folder, name)));
      return new Checkpoint(folder, files);
    } catch (error) {
      files.forEach((file) => file[Symbol.dispose]());
      throw error;
    }
  }

  /** Refuses a checkpoint that lacks a tensor, has one too many, or has one of another shape. */
  async check(model: TransformerDescription): Promise<void> {
    const shapes = tensorShapes(model);
    for (const [name, shape] of shapes) {
      const { file, entry } = this.find(name);
      if (entry.shape.join() !== shape.join()) {
        throw dataError(
          `Tensor "${name}" has shape [${entry.shape.join(", ")}], but config.json needs [${
            shape.join(", ")
          }]`,
          file.path,
          "use the config.json and the weights of the same model",
        );
      }
    }
    for (const [name, { file }] of this.#entries) {
      if (shapes.has(name) || IGNORED.test(name)) continue;
      if (name === HEAD && model.tiedEmbeddings && await this.#same(name, EMBEDDING)) continue;
      throw dataError(
        name === HEAD
          ? `Tensor "${name}" is not the embedding, but config.json ties the two`
          : `Tensor "${name}" has no place in this model`,
        file.path,
        "use the config.json and the weights of the same model; adapters are loaded with --query-peft-dir",
      );
    }
  }

  /** A tensor by name, and the file that holds it. */
  find(name: string): StoredTensor {
    const found = this.#entries.get(name);
    if (found) return found;
    throw dataError(
      `Tensor "${name}" is missing`,
      this.#files.length === 1 ? this.#files[0].path : this.folder,
      "download or save the checkpoint again",
    );
  }

  [Symbol.dispose](): void {
    this.#files.forEach((file) => file[Symbol.dispose]());
  }

  /** Whether two tensors are the same, to the last bit. */
  async #same(first: string, second: string): Promise<boolean> {
    const a = this.find(first), b = this.find(second);
    if (a.entry.dtype !== b.entry.dtype || a.entry.shape.join() !== b.entry.shape.join()) return false;
    const others = b.file.chunks(b.entry)[Symbol.asyncIterator]();
    for await (const chunk of a.file.chunks(a.entry)) {
      const { value: other } = await others.next();
      if (!chunk.every((byte, index) => byte === other[index])) return false;
    }
    return true;
  }
}

function entriesOf(files: readonly SafetensorsFile[]): ReadonlyMap<string, StoredTensor> {
  const entries = new Map<string, StoredTensor>();
  for (const file of files) {
    for (const entry of file.tensors.values()) {
      const other = entries.get(entry.name);
      if (other) {
        throw dataError(
          `Tensor "${entry.name}" stands in ${basename(other.file.path)} and in ${basename(file.path)}`,
          file.path,
          "download or save the checkpoint again",
        );
      }
      entries.set(entry.name, { file, entry });
    }
  }
  return entries;
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
  const { weight_map: map } = await readConfigFile(index);
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
    [EMBEDDING, [vocabulary, width]],
    ["model.norm.weight", [width]],
  ]);
  if (!model.tiedEmbeddings) shapes.set(HEAD, [vocabulary, width]);
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
    ) {
      shapes.set(`model.layers.${layer}.${name}.weight`, shape);
      if (model.biases?.some((biased) => name.endsWith(`.${biased}`))) {
        shapes.set(`model.layers.${layer}.${name}.bias`, [shape[0]]);
      }
    }
  }
  return shapes;
}
