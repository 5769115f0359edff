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
    const index = await readIndex(folder);
    const files: SafetensorsFile[] = [];
    try {
      for (const name of index.names) files.push(await SafetensorsFile.open(join(folder, name)));
      checkIndex(index, files);
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

/** No tensor is in two files: {@linkcode checkIndex} has seen to it. */
function entriesOf(files: readonly SafetensorsFile[]): ReadonlyMap<string, StoredTensor> {
  return new Map(
    files.flatMap((file) =>
      [...file.tensors.values()].map((entry) => [entry.name, { file, entry }] as const)
    ),
  );
}

/** Which files a checkpoint has, and what its index says about them, if it has one. */
interface Index {
  readonly names: readonly string[];
  /** Where it stands. */
  readonly path?: string;
  /** The file of each tensor. */
  readonly map?: ReadonlyMap<string, string>;
  /** Bytes of all tensors. */
  readonly bytes?: number;
}

async function readIndex(folder: string): Promise<Index> {
  const path = join(folder, "model.safetensors.index.json");
  if (!await exists(path)) {
    if (await exists(join(folder, "model.safetensors"))) return { names: ["model.safetensors"] };
    throw dataError(
      "No model.safetensors and no model.safetensors.index.json",
      folder,
      "point --model-name to a folder with a Hugging Face checkpoint in safetensors format",
    );
  }
  const { weight_map: map, metadata } = await readConfigFile(path);
  const entries = typeof map === "object" && map !== null ? Object.entries(map) : [];
  const bad = entries.find(([, name]) => typeof name !== "string" || !/^[^/\\]+\.safetensors$/.test(name));
  if (entries.length === 0 || bad !== undefined) {
    throw dataError(
      bad === undefined ? "The index names no files" : `The index names the file ${JSON.stringify(bad[1])}`,
      path,
      "download the checkpoint again: an index names files of its own folder",
    );
  }
  const bytes = (metadata as { total_size?: unknown } | null | undefined)?.total_size;
  return {
    names: [...new Set(entries.map(([, name]) => name as string))],
    path,
    map: new Map(entries as [string, string][]),
    ...(typeof bytes === "number" && { bytes }),
  };
}

/** Refuses files that are not those the index was written for, as shards of two revisions. */
function checkIndex({ map, path, bytes }: Index, files: readonly SafetensorsFile[]): void {
  if (!map) return;
  const fix = "download the checkpoint again: its files belong to several revisions";
  const byName = new Map(files.map((file) => [basename(file.path), file]));
  for (const [tensor, name] of map) {
    if (!byName.get(name)!.tensors.has(tensor)) {
      throw dataError(`The index says that ${name} has the tensor "${tensor}", but it has not`, path!, fix);
    }
  }
  for (const [name, file] of byName) {
    const stray = [...file.tensors.keys()].find((tensor) => map.get(tensor) !== name);
    if (stray !== undefined) {
      throw dataError(`Tensor "${stray}" is in ${name}, but not by the index`, file.path, fix);
    }
  }
  const held = files.flatMap((file) => [...file.tensors.values()]).reduce(
    (sum, entry) => sum + entry.bytes,
    0,
  );
  if (bytes !== undefined && bytes !== held) {
    throw dataError(`The index counts ${bytes} bytes of tensors, but the files hold ${held}`, path!, fix);
  }
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
        ...(model.experts ? expertShapes(model, model.experts.count) : {
          "mlp.gate_proj": [feedForward, width],
          "mlp.up_proj": [feedForward, width],
          "mlp.down_proj": [width, feedForward],
        }),
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

/** A router and the experts' own matrices, by the names that Mixtral's checkpoints have on the Hub. */
function expertShapes({ width, feedForward }: TransformerDescription, count: number) {
  const shapes: Record<string, readonly number[]> = { "block_sparse_moe.gate": [count, width] };
  for (let expert = 0; expert < count; expert++) {
    const prefix = `block_sparse_moe.experts.${expert}`;
    shapes[`${prefix}.w1`] = shapes[`${prefix}.w3`] = [feedForward, width];
    shapes[`${prefix}.w2`] = [width, feedForward];
  }
  return shapes;
}
