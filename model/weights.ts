import { UserError } from "../core/errors.ts";
import { dataError } from "../core/files.ts";
import type { LinearName, ProgressSink, TransformerDescription } from "../core/types.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { byteLength, type DType, type Tensor } from "../kernels/tensor.ts";
import { type Checkpoint, type StoredTensor, tensorShapes } from "./checkpoint.ts";
import { type Matrix, ROW_MULTIPLE, splitRows } from "./matrix.ts";

const DTYPES: Readonly<Record<string, DType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** Weights of one layer. `C` width, `H` query heads, `K` key/value heads, `D` head width, `F` feed-forward width. */
export interface LayerWeights {
  /** `[C]` f32 */
  readonly inputNorm: Tensor;
  /** `[H·D, C]`, in the checkpoint's type, as are all matrices */
  readonly q: Matrix;
  /** `[K·D, C]` */
  readonly k: Matrix;
  /** `[K·D, C]` */
  readonly v: Matrix;
  /** `[C, H·D]` */
  readonly o: Matrix;
  /** `[C]` f32 */
  readonly postNorm: Tensor;
  /** `[F, C]` */
  readonly gate: Matrix;
  /** `[F, C]` */
  readonly up: Matrix;
  /** `[C, F]` */
  readonly down: Matrix;
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
 * Streams a checkpoint to the GPU, tensor by tensor, piece by piece.
 *
 * @throws {UserError} before anything is loaded, if a tensor is missing, of another shape or type, or too large
 */
export async function loadWeights(
  gpu: Gpu,
  checkpoint: Checkpoint,
  model: TransformerDescription,
  progress?: ProgressSink,
): Promise<Weights> {
  await checkpoint.check(model);
  const stored = [...tensorShapes(model).keys()].map((name) => checkpoint.find(name));
  for (const tensor of stored) checkFits(gpu, tensor);
  const tensors: Tensor[] = [];
  try {
    return await stream(gpu, checkpoint, model, stored, tensors, progress);
  } catch (error) {
    gpu.free(...tensors);
    throw error;
  }
}

function checkFits(gpu: Gpu, { file, entry: { name, dtype: type, shape } }: StoredTensor): void {
  if (!Object.hasOwn(DTYPES, type)) {
    throw dataError(`Tensor "${name}" is of type ${type}`, file.path, "convert it to F32, F16 or BF16");
  }
  const dtype = DTYPES[type];
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

/** Loads what was checked; `tensors` takes each as it is made. */
async function stream(
  gpu: Gpu,
  checkpoint: Checkpoint,
  model: TransformerDescription,
  stored: readonly StoredTensor[],
  tensors: Tensor[],
  progress?: ProgressSink,
): Promise<Weights> {
  const total = stored.reduce((sum, { entry }) => sum + entry.bytes, 0);
  let done = 0;
  const load = async (name: string): Promise<Matrix> => {
    const { file, entry } = checkpoint.find(name);
    const [rows, columns] = entry.shape, dtype = DTYPES[entry.dtype];
    const parts = splitRows(rows, columns, dtype, gpu.adapter.maxBindingBytes).map((part) => ({
      first: part.first,
      tensor: gpu.tensor(name, dtype, [part.rows, columns]),
    }));
    tensors.push(...parts.map(({ tensor }) => tensor));
    for (const { first, tensor } of parts) {
      const start = byteLength(dtype, [first, columns]), bytes = byteLength(dtype, tensor.shape);
      let offset = 0;
      for await (const chunk of file.chunks({ ...entry, start: entry.start + start, bytes })) {
        gpu.write(tensor, chunk, offset);
        offset += chunk.length;
        progress?.update(done += chunk.length, total, name);
      }
    }
    return { rows, columns, parts };
  };
  // Norms and biases are a sliver of the weights, so they are kept in f32 and their kernels need no variants.
  const loadVector = async (name: string): Promise<Tensor> => {
    const { file, entry } = checkpoint.find(name);
    const tensor = gpu.upload(name, await file.values(entry), entry.shape);
    tensors.push(tensor);
    progress?.update(done += entry.bytes, total, name);
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
      gate: await load(`${prefix}.mlp.gate_proj.weight`),
      up: await load(`${prefix}.mlp.up_proj.weight`),
      down: await load(`${prefix}.mlp.down_proj.weight`),
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
    ...layers.flatMap(({ biases, ...layer }) => [...Object.values(layer), ...Object.values(biases)]),
  ];
  return [
    ...new Set(
      (values as (Tensor | Matrix)[]).flatMap((value) =>
        "parts" in value ? value.parts.map(({ tensor }) => tensor) : [value]
      ),
    ),
  ];
}
