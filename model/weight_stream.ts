import type { ProgressSink } from "../core/types.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { quantiseInt4 } from "../kernels/quantise_int4.ts";
import { quantiseInt8 } from "../kernels/quantise_int8.ts";
import { byteLength, type DType, type Tensor, wordsOf } from "../kernels/tensor.ts";
import type { StoredTensor } from "./checkpoint.ts";
import { asMatrix } from "./layout.ts";

/** Types of stored tensors that are understood, by their name in the file. */
export const STORED_DTYPES: Readonly<Record<string, DType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** Rows `first …` of a stored tensor, which become rows `target …` of one on the GPU; a vector is a single row. */
export interface Fill {
  readonly source: StoredTensor;
  readonly first: number;
  readonly rows: number;
  readonly tensor: Tensor;
  readonly target: number;
}

/** Bytes that are read at once, and after which the GPU is waited for: until then the driver holds a copy of them. */
const CHUNK_BYTES = 1 << 24;

/** Fills tensors from files, piece by piece: as they are stored, quantised, or of a vector the values in f32. */
export async function streamWeights(
  gpu: Gpu,
  fills: readonly Fill[],
  progress?: ProgressSink,
): Promise<void> {
  const total = fills.reduce((sum, { source, rows }) => sum + rows * rowBytes(source), 0);
  let done = 0, unfinished = 0;
  const loaded = async (bytes: number, { entry: { name } }: StoredTensor) => {
    progress?.update(done += bytes, total, name);
    if ((unfinished += bytes) < CHUNK_BYTES) return;
    await gpu.finish();
    unfinished = 0;
  };
  // One buffer for all that is read: as garbage, buffers of this size would pile up.
  const space = new Uint8Array(Math.max(CHUNK_BYTES, ...fills.map(({ source }) => rowBytes(source))));
  for (const fill of fills) {
    const { source, tensor } = fill;
    if (tensor.shape.length === 1) {
      gpu.write(tensor, await source.file.values(source.entry));
      await loaded(source.entry.bytes, source);
    } else if (tensor.dtype === STORED_DTYPES[source.entry.dtype]) {
      for await (const { row, bytes } of rowsOf(fill, space)) {
        gpu.write(tensor, bytes, row * rowBytes(source));
        await loaded(bytes.length, source);
      }
    } else await quantise(gpu, fill, space, loaded);
  }
  // Now, and not at the first prompt, it is known whether memory was enough.
  await gpu.finish();
}

/** Fills rows of a quantised tensor, by way of one that takes them as they are stored. */
async function quantise(
  gpu: Gpu,
  fill: Fill,
  space: Uint8Array<ArrayBuffer>,
  loaded: (bytes: number, source: StoredTensor) => Promise<void>,
): Promise<void> {
  const { source, rows, tensor } = fill, [, depth] = tensor.shape;
  const kernel = tensor.dtype === "int8" ? quantiseInt8 : quantiseInt4;
  const most = Math.min(rows, rowsAtOnce(fill, Math.min(space.length, gpu.adapter.maxBindingBytes)));
  const staging = gpu.tensor("rows to quantise", STORED_DTYPES[source.entry.dtype], [most, depth]);
  try {
    for await (const { row, bytes } of rowsOf(fill, space.subarray(0, most * rowBytes(source)))) {
      gpu.write(staging, bytes);
      gpu.run(kernel, {
        params: { rows: bytes.length / rowBytes(source), depth, first_row: row },
        buffers: { weight: staging, codes: wordsOf(tensor), scale_words: wordsOf(tensor.scales!) },
      });
      await loaded(bytes.length, source);
    }
  } finally {
    gpu.free(staging);
  }
}

/** The rows of a fill, as many at once as the buffer holds, with the row of the tensor that is the first of them. */
async function* rowsOf(fill: Fill, space: Uint8Array<ArrayBuffer>) {
  const { source: { file, entry }, first, rows, target } = fill, each = rowBytes(fill.source);
  const range = { ...entry, start: entry.start + first * each, bytes: rows * each };
  let row = target;
  for await (const bytes of file.chunks(range, space.subarray(0, rowsAtOnce(fill, space.length) * each))) {
    yield { row, bytes };
    row += bytes.length / each;
  }
}

function rowsAtOnce({ source }: Fill, bytes: number): number {
  return Math.max(1, Math.floor(bytes / rowBytes(source)));
}

/** Bytes of a row of a stored tensor. */
function rowBytes({ entry: { dtype, shape } }: StoredTensor): number {
  const [, columns] = asMatrix(shape);
  return byteLength(STORED_DTYPES[dtype], [columns]);
}
