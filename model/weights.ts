import { UserError } from "../core/errors.ts";
import { dataError } from "../core/files.ts";
import type { LinearName, ProgressSink, TransformerDescription } from "../core/types.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { quantiseInt4 } from "../kernels/quantise_int4.ts";
import { quantiseInt8 } from "../kernels/quantise_int8.ts";
import { byteLength, type DType, QUANTISED_MULTIPLE, type Tensor, wordsOf } from "../kernels/tensor.ts";
import { type Checkpoint, type StoredTensor, tensorShapes } from "./checkpoint.ts";
import type { ExpertWeights } from "./experts.ts";
import { type Matrix, ROW_MULTIPLE, splitRows } from "./matrix.ts";
import type { SafetensorsFile, TensorEntry } from "./safetensors.ts";

const DTYPES: Readonly<Record<string, DType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** Weights of one layer. `C` width, `H` query heads, `K` key/value heads, `D` head width, `F` feed-forward width. */
export interface LayerWeights {
  /** `[C]` f32 */
  readonly inputNorm: Tensor;
  /** `[H·D, C]`, in the checkpoint's type or quantised, as are all matrices of a block */
  readonly q: Matrix;
  /** `[K·D, C]` */
  readonly k: Matrix;
  /** `[K·D, C]` */
  readonly v: Matrix;
  /** `[C, H·D]` */
  readonly o: Matrix;
  /** `[C]` f32 */
  readonly postNorm: Tensor;
  /** `[F, C]`; these three are absent where there are experts */
  readonly gate?: Matrix;
  /** `[F, C]` */
  readonly up?: Matrix;
  /** `[C, F]` */
  readonly down?: Matrix;
  readonly experts?: ExpertWeights;
  /** `[outputs]` f32, of the linear layers that have one */
  readonly biases: Readonly<Partial<Record<LinearName, Tensor>>>;
}

/** All weights of a model, on the GPU in the checkpoint's precision. */
export interface Weights {
  /** `[V, C]` */
  readonly embedding: Matrix;
  readonly layers: readonly LayerWeights[];
  /** `[C]` f32 */
  readonly finalNorm: Tensor;
  /** `[V, C]`; the embedding itself where they are tied */
  readonly head: Matrix;
}

/**
 * Element types of the blocks' matrices on the GPU: as they are stored, or quantised while they are loaded. The
 * embedding, the output layer, norms and biases stay as they are stored whatever this is, as in bitsandbytes: they are
 * few, and errors in them cost most.
 */
export const WEIGHT_TYPES = ["auto", "int8", "int4"] as const;

/** One of {@linkcode WEIGHT_TYPES}. */
export type WeightType = typeof WEIGHT_TYPES[number];

/** How weights are loaded. */
export interface LoadOptions {
  /** `auto` unless given. */
  readonly dtype?: WeightType;
  /** Told of bytes of the checkpoint as they are loaded. */
  readonly progress?: ProgressSink;
}

/** Bytes of rows that are quantised at once. */
const CHUNK_BYTES = 1 << 24;

/** Bytes after which the GPU is waited for: until it has taken them over, the driver holds a copy. */
const UNFINISHED_BYTES = 1 << 24;

/**
 * Streams a checkpoint to the GPU, tensor by tensor, piece by piece.
 *
 * @throws {UserError} before anything is loaded, if a tensor is missing, of another shape or type, or too large
 */
export async function loadWeights(
  gpu: Gpu,
  checkpoint: Checkpoint,
  model: TransformerDescription,
  { dtype = "auto", progress }: LoadOptions = {},
): Promise<Weights> {
  await checkpoint.check(model);
  const stored = [...tensorShapes(model).keys()].map((name) => checkpoint.find(name));
  for (const tensor of stored) checkFits(gpu, tensor, dtype);
  const tensors: Tensor[] = [];
  try {
    return await stream(gpu, checkpoint, model, stored, tensors, { dtype, progress });
  } catch (error) {
    gpu.free(...tensors);
    throw error;
  }
}

/** Whether a tensor is a matrix of a block, which may be quantised. */
function isBlockMatrix(name: string): boolean {
  return /^model\.layers\..+(_proj|\.experts\.\d+\.w[123])\.weight$/.test(name);
}

function checkFits(
  gpu: Gpu,
  { file, entry: { name, dtype: type, shape } }: StoredTensor,
  wanted: WeightType,
): void {
  if (!Object.hasOwn(DTYPES, type)) {
    throw dataError(`Tensor "${name}" is of type ${type}`, file.path, "convert it to F32, F16 or BF16");
  }
  const quantised = wanted !== "auto" && isBlockMatrix(name);
  if (quantised && shape[1] % QUANTISED_MULTIPLE !== 0) {
    throw dataError(
      `Tensor "${name}" has rows of ${shape[1]} values, which cannot be quantised`,
      file.path,
      `only multiples of ${QUANTISED_MULTIPLE} can; use --dtype=auto`,
    );
  }
  const dtype = quantised ? wanted : DTYPES[type];
  const { maxBindingBytes, description } = gpu.adapter;
  if (shape.length === 2) {
    if (splitRows(shape[0], shape[1], dtype, maxBindingBytes).length > 0) return;
  } else if (byteLength(dtype, shape) <= maxBindingBytes) return;
  const rows = Math.min(ROW_MULTIPLE, shape[0]), bytes = byteLength(dtype, [rows, ...shape.slice(1)]);
  throw new UserError({
    kind: "adapter",
    what:
      `${rows} rows of tensor "${name}" take ${bytes} bytes, but this adapter binds at most ${maxBindingBytes}`,
    where: `${name} [${shape.join(", ")}] ${type} in ${file.path}, adapter "${description}"`,
    fix: `use a smaller model, or an adapter whose maxStorageBufferBindingSize is at least ${bytes}`,
  });
}

function mixedTypes({ name, dtype }: TensorEntry, path: string, other: string): UserError {
  const what = `Tensor "${name}" is of type ${dtype}, but "${other}" of another, and the two are used as one`;
  return dataError(what, path, "save the checkpoint again in one type");
}

/** Loads what was checked; `tensors` takes each as it is made. */
async function stream(
  gpu: Gpu,
  checkpoint: Checkpoint,
  model: TransformerDescription,
  stored: readonly StoredTensor[],
  tensors: Tensor[],
  { dtype: wanted, progress }: LoadOptions & { readonly dtype: WeightType },
): Promise<Weights> {
  const total = stored.reduce((sum, { entry }) => sum + entry.bytes, 0);
  let done = 0, unfinished = 0;
  const loaded = async (bytes: number, name: string) => {
    progress?.update(done += bytes, total, name);
    if ((unfinished += bytes) < UNFINISHED_BYTES) return;
    await gpu.finish();
    unfinished = 0;
  };
  // Matrices that are used as one, such as those of a block's experts, lie one below the other.
  const load = async (...names: readonly string[]): Promise<Matrix> => {
    const [name] = names, stored = DTYPES[checkpoint.find(name).entry.dtype];
    const [each, columns] = checkpoint.find(name).entry.shape, rows = names.length * each;
    const dtype = wanted !== "auto" && isBlockMatrix(name) ? wanted : stored;
    const parts = splitRows(rows, columns, dtype, gpu.adapter.maxBindingBytes).map((part) => ({
      first: part.first,
      tensor: gpu.tensor(name, dtype, [part.rows, columns], true),
    }));
    tensors.push(...parts.map(({ tensor }) => tensor));
    for (const { first, tensor } of parts) {
      const end = first + tensor.shape[0];
      for (let row = first; row < end;) {
        const index = Math.floor(row / each), count = Math.min(end, (index + 1) * each) - row;
        const { file, entry } = checkpoint.find(names[index]);
        if (DTYPES[entry.dtype] !== stored) throw mixedTypes(entry, file.path, name);
        const start = entry.start + byteLength(stored, [row - index * each, columns]);
        const piece = { ...entry, start, bytes: byteLength(stored, [count, columns]) };
        if (dtype === stored) await copy(file, piece, tensor, row - first);
        else await quantise(file, piece, stored, tensor, row - first);
        row += count;
      }
    }
    return { rows, columns, parts };
  };
  const copy = async (file: SafetensorsFile, part: TensorEntry, tensor: Tensor, firstRow: number) => {
    let offset = byteLength(tensor.dtype, [firstRow, tensor.shape[1]]);
    for await (const chunk of file.chunks(part)) {
      gpu.write(tensor, chunk, offset);
      offset += chunk.length;
      await loaded(chunk.length, part.name);
    }
  };
  const quantise = async (
    file: SafetensorsFile,
    part: TensorEntry,
    stored: DType,
    tensor: Tensor,
    firstRow: number,
  ) => {
    const depth = tensor.shape[1], rowBytes = byteLength(stored, [depth]);
    const perChunk = Math.min(part.bytes / rowBytes, Math.max(1, Math.floor(CHUNK_BYTES / rowBytes)));
    const chunkRows = gpu.tensor("rows to quantise", stored, [perChunk, depth]);
    tensors.push(chunkRows);
    const kernel = tensor.dtype === "int8" ? quantiseInt8 : quantiseInt4;
    let first = firstRow;
    for await (const chunk of file.chunks(part, perChunk * rowBytes)) {
      const count = chunk.length / rowBytes;
      gpu.write(chunkRows, chunk);
      gpu.run(kernel, {
        params: { rows: count, depth, first_row: first },
        buffers: { weight: chunkRows, codes: wordsOf(tensor), scale_words: wordsOf(tensor.scales!) },
      });
      first += count;
      await loaded(chunk.length, part.name);
    }
    gpu.free(chunkRows);
    tensors.splice(tensors.indexOf(chunkRows), 1);
  };
  // Norms and biases are a sliver of the weights, so they are kept in f32 and their kernels need no variants.
  const loadVector = async (name: string): Promise<Tensor> => {
    const { file, entry } = checkpoint.find(name);
    const tensor = gpu.upload(name, await file.values(entry), entry.shape);
    tensors.push(tensor);
    await loaded(entry.bytes, name);
    return tensor;
  };
  const loadBiases = async (prefix: string) => {
    const biases: Partial<Record<LinearName, Tensor>> = {};
    for (const name of model.biases ?? []) {
      const block = /^[qkvo]_/.test(name) ? "self_attn" : "mlp";
      biases[name] = await loadVector(`${prefix}.${block}.${name}.bias`);
    }
    return biases;
  };
  const loadExperts = async (prefix: string, count: number): Promise<ExpertWeights> => {
    const experts = Array.from(
      { length: count },
      (_, expert) => `${prefix}.block_sparse_moe.experts.${expert}`,
    );
    return {
      router: await load(`${prefix}.block_sparse_moe.gate.weight`),
      gateUp: await load(...experts.flatMap((expert) => [`${expert}.w1.weight`, `${expert}.w3.weight`])),
      down: await load(...experts.map((expert) => `${expert}.w2.weight`)),
    };
  };
  const embedding = await load("model.embed_tokens.weight");
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < model.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    layers.push({
      inputNorm: await loadVector(`${prefix}.input_layernorm.weight`),
      q: await load(`${prefix}.self_attn.q_proj.weight`),
      k: await load(`${prefix}.self_attn.k_proj.weight`),
      v: await load(`${prefix}.self_attn.v_proj.weight`),
      o: await load(`${prefix}.self_attn.o_proj.weight`),
      postNorm: await loadVector(`${prefix}.post_attention_layernorm.weight`),
      ...(model.experts ? { experts: await loadExperts(prefix, model.experts.count) } : {
        gate: await load(`${prefix}.mlp.gate_proj.weight`),
        up: await load(`${prefix}.mlp.up_proj.weight`),
        down: await load(`${prefix}.mlp.down_proj.weight`),
      }),
      biases: await loadBiases(prefix),
    });
  }
  const finalNorm = await loadVector("model.norm.weight");
  const head = model.tiedEmbeddings ? embedding : await load("lm_head.weight");
  return { embedding, layers, finalNorm, head };
}

/** Every tensor of the weights, each once. */
export function allTensors({ embedding, layers, finalNorm, head }: Weights): Tensor[] {
  const values = [
    embedding,
    finalNorm,
    head,
    ...layers.flatMap(({ biases, experts = {}, ...layer }) =>
      [layer, biases, experts].flatMap((part) => Object.values(part) as (Tensor | Matrix)[])
    ),
  ];
  return [
    ...new Set(
      (values as (Tensor | Matrix)[]).flatMap((value) =>
        "parts" in value ? value.parts.map(({ tensor }) => tensor) : [value]
      ),
    ),
  ];
}
