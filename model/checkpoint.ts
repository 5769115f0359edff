import { join } from "node:path";
import { dataError, exists } from "../core/files.ts";
import type { TransformerDescription } from "../core/types.ts";
import { EMBEDDING, type ExpertForm, expertForm, HEAD, tensorShapes } from "./layout.ts";
import { SafetensorsFile, type TensorEntry } from "./safetensors.ts";
import { checkShards, readShardIndex, type ShardIndex } from "./shard_index.ts";

/** Tensors that old exporters wrote and that hold nothing a model needs. */
const IGNORED = /\.rotary_emb\.inv_freq$/;

const SINGLE = "model.safetensors", INDEX = "model.safetensors.index.json";

/** A tensor and the file that holds it. */
export interface StoredTensor {
  readonly file: SafetensorsFile;
  readonly entry: TensorEntry;
}

/** The tensors of one checkpoint folder, wherever its files hold them. */
export class Checkpoint implements Disposable {
  readonly folder: string;
  readonly #files: readonly SafetensorsFile[];
  /** What says which tensors there are: the index, or the one file. */
  readonly #list: string;
  readonly #entries: ReadonlyMap<string, StoredTensor>;

  private constructor(folder: string, files: readonly SafetensorsFile[], index?: ShardIndex) {
    this.folder = folder;
    this.#files = files;
    this.#list = index?.path ?? files[0].path;
    this.#entries = new Map(
      files.flatMap((file) => [...file.tensors.values()].map((entry) => [entry.name, { file, entry }])),
    );
  }

  /**
   * Opens `model.safetensors`, as transformers does if it is there, or all files that `model.safetensors.index.json`
   * names.
   */
  static async open(folder: string): Promise<Checkpoint> {
    const index = await exists(join(folder, SINGLE)) ? undefined : await findIndex(folder);
    const files: SafetensorsFile[] = [];
    try {
      for (const name of index?.files ?? [SINGLE]) files.push(await SafetensorsFile.open(join(folder, name)));
      if (index) checkShards(index, files, IGNORED);
      return new Checkpoint(folder, files, index);
    } catch (error) {
      files.forEach((file) => file[Symbol.dispose]());
      throw error;
    }
  }

  /** Refuses a checkpoint that lacks a tensor, has one too many, or has one of another shape. */
  async check(model: TransformerDescription): Promise<void> {
    const shapes = tensorShapes(model, this.expertForm);
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

  /** How it holds experts, if the model has some. */
  get expertForm(): ExpertForm {
    return expertForm(this.#entries);
  }

  /** All that a model needs. */
  tensors(): StoredTensor[] {
    return [...this.#entries.values()].filter(({ entry }) => !IGNORED.test(entry.name));
  }

  /** A tensor by name, and the file that holds it. */
  find(name: string): StoredTensor {
    const found = this.#entries.get(name);
    if (found) return found;
    throw dataError(
      `Tensor "${name}" is missing`,
      this.#list,
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

async function findIndex(folder: string): Promise<ShardIndex> {
  const path = join(folder, INDEX);
  if (await exists(path)) return await readShardIndex(path);
  throw dataError(
    `No ${SINGLE} and no ${INDEX}`,
    folder,
    "point --model-name to a folder with a Hugging Face checkpoint in safetensors format",
  );
}
