import { UserError } from "../core/errors.ts";
import { dataError } from "../core/files.ts";
import type { ProgressSink, TransformerDescription } from "../core/types.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { byteLength, type DType, QUANTISED_MULTIPLE, type Tensor } from "../kernels/tensor.ts";
import type { Checkpoint, StoredTensor } from "./checkpoint.ts";
import {
  asMatrix,
  isLayoutItem,
  type LayoutItem,
  layoutItems,
  type LayoutOf,
  type MatrixLayout,
  type VectorLayout,
  type WeightLayout,
  weightLayout,
  type Weights,
} from "./layout.ts";
import { type Matrix, ROW_MULTIPLE, splitRows } from "./matrix.ts";
import { type Fill, STORED_DTYPES, streamWeights } from "./weight_stream.ts";

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

/**
 * Streams a checkpoint to the GPU, piece by piece.
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
  const layout = weightLayout(model, checkpoint.expertForm), planner = new Planner(gpu, checkpoint, dtype);
  for (const item of layoutItems(layout)) planner.check(item);
  const tensors: Tensor[] = [], fills: Fill[] = [];
  try {
    const weights = planner.allocate(layout, tensors, fills);
    await streamWeights(gpu, fills, progress);
    return weights;
  } catch (error) {
    gpu.free(...tensors);
    // Others may need what this one did not get.
    gpu.trim();
    throw error;
  }
}

/** Decides what the tensors of a checkpoint become on the GPU. */
class Planner {
  readonly #gpu: Gpu;
  readonly #checkpoint: Checkpoint;
  readonly #dtype: WeightType;

  constructor(gpu: Gpu, checkpoint: Checkpoint, dtype: WeightType) {
    this.#gpu = gpu;
    this.#checkpoint = checkpoint;
    this.#dtype = dtype;
  }

  /** Refuses what cannot be loaded. */
  check(item: LayoutItem): void {
    const stored = item.tensors.map(([name]) => this.#checkpoint.find(name));
    stored.forEach(checkType);
    checkSameType(stored);
    const { rows, columns, dtype } = this.#plan(item);
    if (dtype === "int8" || dtype === "int4") stored.forEach(checkQuantisable);
    const { maxBindingBytes, description } = this.#gpu.adapter;
    if (splitRows(rows, columns, dtype, maxBindingBytes).length > 0) return;
    const [{ file, entry: { name, dtype: type, shape } }] = stored;
    const least = Math.min(ROW_MULTIPLE, rows), bytes = byteLength(dtype, [least, columns]);
    throw new UserError({
      kind: "adapter",
      what:
        `${least} rows of tensor "${name}" take ${bytes} bytes, but this adapter binds at most ${maxBindingBytes}`,
      where: `${name} [${shape.join(", ")}] ${type} in ${file.path}, adapter "${description}"`,
      fix: `use a smaller model, or an adapter whose maxStorageBufferBindingSize is at least ${bytes}`,
    });
  }

  /**
   * Makes all tensors before the first is filled. What a driver takes for transfers then lies behind the weights, not
   * between them, where it would leave gaps; and a model that is too large fails before it is read.
   *
   * @param tensors takes each tensor as it is made
   * @param fills takes what is to be written to them
   */
  allocate({ layers, ...others }: WeightLayout, tensors: Tensor[], fills: Fill[]): Weights {
    const tensor = (label: string, dtype: DType, shape: readonly number[]) => {
      const made = this.#gpu.tensor(label, dtype, shape, true);
      tensors.push(made);
      return made;
    };
    const vector = (item: VectorLayout): Tensor => {
      const [[name, shape]] = item.tensors, made = tensor(name, "f32", shape);
      fills.push({ source: this.#checkpoint.find(name), first: 0, rows: 1, tensor: made, target: 0 });
      return made;
    };
    const matrix = (item: MatrixLayout): Matrix => {
      const { rows, columns, dtype } = this.#plan(item), [[name]] = item.tensors;
      const parts = splitRows(rows, columns, dtype, this.#gpu.adapter.maxBindingBytes).map((part) => ({
        first: part.first,
        tensor: tensor(name, dtype, [part.rows, columns]),
      }));
      fills.push(...this.#fillsOf(item, parts));
      return { rows, columns, parts };
    };
    const group = <T>(layout: LayoutOf<T>): T => {
      const made = Object.entries<LayoutItem | LayoutOf<object> | undefined>(layout).map(([name, part]) => {
        if (part === undefined || !isLayoutItem(part)) return [name, part && group(part)];
        return [name, part.kind === "vector" ? vector(part) : matrix(part)];
      });
      // A layout has the keys of what it is the layout of, each with its kind: that is its type.
      return Object.fromEntries(made) as T;
    };
    const embedding = matrix(others.embedding);
    return {
      embedding,
      layers: layers.map((layer) => group(layer)),
      finalNorm: vector(others.finalNorm),
      head: others.head ? matrix(others.head) : embedding,
    };
  }

  /** Which rows of which stored tensor go where in the parts of a matrix. */
  #fillsOf({ tensors }: MatrixLayout, parts: Matrix["parts"]): Fill[] {
    const fills: Fill[] = [];
    let start = 0;
    for (const [name, shape] of tensors) {
      const [count] = asMatrix(shape), end = start + count, source = this.#checkpoint.find(name);
      for (const { first, tensor } of parts) {
        const from = Math.max(start, first), rows = Math.min(end, first + tensor.shape[0]) - from;
        if (rows > 0) fills.push({ source, first: from - start, rows, tensor, target: from - first });
      }
      start = end;
    }
    return fills;
  }

  /** Shape and type of an item on the GPU. */
  #plan(item: LayoutItem) {
    const [[name, shape]] = item.tensors, [, columns] = asMatrix(shape);
    const rows = item.tensors.reduce((sum, [, shape]) => sum + asMatrix(shape)[0], 0);
    if (item.kind === "vector") return { rows, columns, dtype: "f32" as const };
    const stored = STORED_DTYPES[this.#checkpoint.find(name).entry.dtype];
    return { rows, columns, dtype: item.quantisable && this.#dtype !== "auto" ? this.#dtype : stored };
  }
}

function checkType({ file, entry: { name, dtype } }: StoredTensor): void {
  if (Object.hasOwn(STORED_DTYPES, dtype)) return;
  throw dataError(`Tensor "${name}" is of type ${dtype}`, file.path, "convert it to F32, F16 or BF16");
}

function checkSameType([first, ...others]: readonly StoredTensor[]): void {
  const other = others.find(({ entry }) => entry.dtype !== first.entry.dtype);
  if (!other) return;
  const { name, dtype } = first.entry;
  throw dataError(
    `Tensor "${other.entry.name}" is of type ${other.entry.dtype}, but "${name}" of type ${dtype}`,
    other.file.path,
    "convert the two to one type: they are used as one matrix",
  );
}

function checkQuantisable({ file, entry: { name, shape } }: StoredTensor): void {
  const [, columns] = asMatrix(shape);
  if (columns % QUANTISED_MULTIPLE === 0) return;
  throw dataError(
    `Tensor "${name}" has rows of ${columns} values, which cannot be quantised`,
    file.path,
    `only multiples of ${QUANTISED_MULTIPLE} can; use --dtype=auto`,
  );
}

/** Every tensor of the weights, each once. */
export function allTensors(weights: Weights): Tensor[] {
  return [...new Set(tensorsIn(weights))];
}

function tensorsIn(weights: object): Tensor[] {
  return Object.values(weights).flatMap((part: Tensor | Matrix | object | undefined) => {
    if (part === undefined) return [];
    if ("buffer" in part) return [part];
    return "parts" in part ? part.parts.map(({ tensor }) => tensor) : tensorsIn(part);
  });
}
