/** Kernel calls that make a new tensor: the verbs the transformer is written in. The caller frees what it gets. */
import { addBias } from "../kernels/add_bias.ts";
import { cacheWrite } from "../kernels/cache_write.ts";
import { embedding } from "../kernels/embedding.ts";
import { gatherRows } from "../kernels/gather_rows.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { matmulBackward } from "../kernels/matmul_backward.ts";
import { rmsnorm } from "../kernels/rmsnorm.ts";
import { rmsnormBackward } from "../kernels/rmsnorm_backward.ts";
import { rope } from "../kernels/rope.ts";
import { scatterRows } from "../kernels/scatter_rows.ts";
import { swiglu } from "../kernels/swiglu.ts";
import { swigluBackward } from "../kernels/swiglu_backward.ts";
import type { Tensor } from "../kernels/tensor.ts";
import { tokenLogits } from "../kernels/token_logits.ts";
import { tokenLogitsBackward } from "../kernels/token_logits_backward.ts";
import type { Matrix } from "./matrix.ts";

/** Rows of `weight` `[V, C]` by id: `[rows, C]` f32. */
export function embed(gpu: Gpu, weight: Matrix, ids: Tensor, rows: number): Tensor {
  const y = gpu.tensor("embedded", "f32", [rows, weight.columns]);
  for (const { first, tensor } of weight.parts) {
    const [vocabulary, width] = tensor.shape;
    gpu.run(embedding, { params: { rows, width, vocabulary, first }, buffers: { ids, weight: tensor, y } });
  }
  return y;
}

/** Logits of some tokens `[tokens]` after each row of `hidden`: `[rows, tokens]`. */
export function logitsOf(gpu: Gpu, head: Matrix, hidden: Tensor, ids: Tensor, rows: number): Tensor {
  const [tokens] = ids.shape;
  const logits = gpu.tensor("token logits", "f32", [rows, tokens]);
  for (const { first, tensor } of head.parts) {
    const [vocabulary, width] = tensor.shape;
    gpu.run(tokenLogits, {
      params: { rows, width, tokens, vocabulary, first },
      buffers: { x: hidden, weight: tensor, ids, logits },
    });
  }
  return logits;
}

/** Gradient of {@linkcode logitsOf} for `hidden`: `[rows, C]`. */
export function logitsOfBackward(gpu: Gpu, head: Matrix, dlogits: Tensor, ids: Tensor, rows: number): Tensor {
  const [tokens] = ids.shape;
  const dx = zeros(gpu, "dhidden of tokens", rows, head.columns);
  for (const { first, tensor } of head.parts) {
    const [vocabulary, width] = tensor.shape;
    gpu.run(tokenLogitsBackward, {
      params: { rows, width, tokens, vocabulary, first },
      buffers: { dlogits, weight: tensor, ids, dx },
    });
  }
  return dx;
}

/** RMSNorm of the first `rows` rows of `x` `[…, C]`. */
export function norm(gpu: Gpu, x: Tensor, weight: Tensor, rows: number, eps: number): Tensor {
  const [width] = weight.shape;
  const y = gpu.tensor("normed", "f32", [rows, width]);
  gpu.run(rmsnorm, { params: { rows, width, eps }, buffers: { x, weight, y } });
  return y;
}

/** Adds RMSNorm's gradient for its input `x` to `dx`. */
export function normBackward(
  gpu: Gpu,
  x: Tensor,
  weight: Tensor,
  dy: Tensor,
  dx: Tensor,
  rows: number,
  eps: number,
) {
  gpu.run(rmsnormBackward, { params: { rows, width: weight.shape[0], eps }, buffers: { x, weight, dy, dx } });
}

/** Where the angles of a batch's rows stand. */
export interface Angles {
  /** `[entries, D/2, 2]` f32 cosines and sines */
  readonly table: Tensor;
  /** `[T]` u32 entry of each row */
  readonly entries: Tensor;
}

/** Turns `heads` heads from column 0 of `x` `[rows, stride]` by their angles, in place; direction −1 turns back. */
export function rotate(
  gpu: Gpu,
  { table, entries }: Angles,
  x: Tensor,
  { rows, heads, direction }: { rows: number; heads: number; direction: 1 | -1 },
): void {
  gpu.run(rope, {
    params: {
      rows,
      heads,
      head_dim: 2 * table.shape[1],
      stride: x.shape[1],
      first: 0,
      capacity: table.shape[0],
      direction,
    },
    buffers: { positions: entries, table, x },
  });
}

/** Adds a bias `[outputs]` to the columns of `y` `[rows, stride]` from `first` on. */
export function addBiasTo(
  gpu: Gpu,
  bias: Tensor,
  { y, stride, first }: { readonly y: Tensor; readonly stride: number; readonly first: number },
  rows: number,
): void {
  gpu.run(addBias, {
    params: { rows, columns: bias.shape[0], stride, first, scale: 1 },
    buffers: { bias, y },
  });
}

/** Copies keys and values, the columns of `qkv` from `first` on, to their slots in the cache. */
export function store(
  gpu: Gpu,
  qkv: Tensor,
  slots: Tensor,
  cache: Tensor,
  rows: number,
  first: number,
): void {
  const [capacity, width] = cache.shape;
  gpu.run(cacheWrite, {
    params: { rows, width, source_stride: qkv.shape[1], source_first: first, capacity },
    buffers: { source: qkv, slots, cache },
  });
}

/** silu(gate) · up of `gateUp` `[rows, 2F]`: `[rows, F]`. */
export function gated(gpu: Gpu, gateUp: Tensor, rows: number): Tensor {
  const width = gateUp.shape[1] / 2;
  const y = gpu.tensor("gated", "f32", [rows, width]);
  gpu.run(swiglu, { params: { rows, width }, buffers: { gate_up: gateUp, y } });
  return y;
}

/** Gradient of {@linkcode gated} for `gateUp`. */
export function gatedBackward(gpu: Gpu, gateUp: Tensor, dy: Tensor, rows: number): Tensor {
  const width = gateUp.shape[1] / 2;
  const dGateUp = gpu.tensor("dgate_up", "f32", [rows, 2 * width]);
  gpu.run(swigluBackward, { params: { rows, width }, buffers: { gate_up: gateUp, dy, dgate_up: dGateUp } });
  return dGateUp;
}

/** Rows of `x` by index. */
export function gather(gpu: Gpu, x: Tensor, index: Tensor, rows: number): Tensor {
  const [sourceRows, width] = x.shape;
  const y = gpu.tensor(x.label, "f32", [rows, width]);
  gpu.run(gatherRows, { params: { rows, width, source_rows: sourceRows }, buffers: { index, x, y } });
  return y;
}

/** Adds the rows of `x` to the rows of `y` that the index names; no row may be named twice. */
export function scatter(gpu: Gpu, x: Tensor, index: Tensor, y: Tensor, rows: number): void {
  const [targetRows, width] = y.shape;
  gpu.run(scatterRows, { params: { rows, width, target_rows: targetRows }, buffers: { index, x, y } });
}

/**
 * Means over spans of rows, which lie one behind the other in `x`: `[spans, width]`. Where each span is one row, that is
 * `x` itself.
 *
 * @param spans rows of each
 */
export function averages(gpu: Gpu, x: Tensor, spans: readonly number[]): Tensor {
  return weighted(gpu, x, spans, (span, row, stride) => span * stride + row);
}

/** Gradient of {@linkcode averages} for `x`, given that for what it gave; the same tensor where each span is one row. */
export function averagesBackward(gpu: Gpu, dy: Tensor, spans: readonly number[]): Tensor {
  return weighted(gpu, dy, spans, (span, row, stride) => row * stride + span);
}

/** The product of the matrix of means, or of its transpose, with `x`. */
function weighted(
  gpu: Gpu,
  x: Tensor,
  spans: readonly number[],
  place: (span: number, row: number, stride: number) => number,
): Tensor {
  const total = spans.reduce((sum, count) => sum + count, 0);
  if (total === spans.length) return x;
  const [columns, width] = x.shape;
  const rows = columns === total ? spans.length : total, stride = Math.ceil(columns / 4) * 4;
  const means = new Float32Array(rows * stride);
  let row = 0;
  spans.forEach((count, span) => {
    for (let index = 0; index < count; index++) means[place(span, row++, stride)] = 1 / count;
  });
  const matrix = gpu.upload("means", means, [rows, stride]);
  const y = gpu.tensor("averages", "f32", [rows, width]);
  gpu.run(matmulBackward, {
    params: { rows, columns, depth: width, dy_stride: stride, dy_first: 0, scale: 1, accumulate: 0 },
    buffers: { dy: matrix, weight: x, dx: y },
  });
  gpu.free(matrix);
  return y;
}

/** `[rows, width]` of zeros. */
export function zeros(gpu: Gpu, label: string, rows: number, width: number): Tensor {
  const tensor = gpu.tensor(label, "f32", [rows, width]);
  gpu.clear(tensor);
  return tensor;
}
