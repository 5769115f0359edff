/** Logits over the whole vocabulary, some rows at a time: those of all rows would not fit. */
import type { Gpu } from "../kernels/gpu.ts";
import type { Tensor } from "../kernels/tensor.ts";
import { linear } from "./linear.ts";
import type { Matrix } from "./matrix.ts";
import { gather } from "./ops.ts";

/** Bytes of logits that are made at once: beyond this, rows are taken in turns. */
const LOGIT_BYTES = 1 << 26;

/** How rows of logits over a vocabulary are laid out and made. */
export interface LogitLayout {
  readonly vocabulary: number;
  /** Values from one row to the next, a multiple of 4. */
  readonly stride: number;
  /** Rows that are made at once, at most. */
  readonly perTurn: number;
}

/** The layout for a matrix that gives logits. */
export function logitLayout({ rows: vocabulary }: Matrix): LogitLayout {
  const stride = Math.ceil(vocabulary / 4) * 4;
  return { vocabulary, stride, perTurn: Math.max(1, Math.floor(LOGIT_BYTES / (4 * stride))) };
}

/** Logits `[rows, stride]` of the rows of `hidden` that the index `[rows]` names. */
export function vocabularyLogits(
  gpu: Gpu,
  head: Matrix,
  hidden: Tensor,
  index: Tensor,
  stride: number,
): Tensor {
  const [rows] = index.shape;
  const x = gather(gpu, hidden, index, rows);
  const logits = gpu.tensor("logits", "f32", [rows, stride]);
  linear(gpu, head, x, rows, { y: logits, stride, first: 0 });
  gpu.free(x);
  return logits;
}
