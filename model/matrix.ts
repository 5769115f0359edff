import type { DType, Tensor } from "../kernels/tensor.ts";
import { BYTES_PER_VALUE } from "../kernels/tensor.ts";

/** Rows of every part but the last are a multiple of this, so that what goes with them starts where it may be bound. */
export const ROW_MULTIPLE = 64;

/** Some consecutive rows of a matrix. */
export interface MatrixPart {
  /** Row of the matrix with which it begins. */
  readonly first: number;
  /** `[rows of this part, columns]` */
  readonly tensor: Tensor;
}

/** A weight matrix `[rows, columns]` on the GPU, in several parts if it is larger than a kernel can bind at once. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly parts: readonly MatrixPart[];
}

/** A matrix of one part. */
export function matrixOf(tensor: Tensor): Matrix {
  const [rows, columns] = tensor.shape;
  return { rows, columns, parts: [{ first: 0, tensor }] };
}

/** Where the parts of a matrix begin, and how many rows each has; no part at all if not even the least fits. */
export function splitRows(
  rows: number,
  columns: number,
  dtype: DType,
  maxBytes: number,
): readonly { readonly first: number; readonly rows: number }[] {
  const most = Math.floor(maxBytes / (columns * BYTES_PER_VALUE[dtype]));
  if (rows <= most) return [{ first: 0, rows }];
  const each = Math.floor(most / ROW_MULTIPLE) * ROW_MULTIPLE;
  if (each === 0) return [];
  return Array.from({ length: Math.ceil(rows / each) }, (_, part) => {
    const first = part * each;
    return { first, rows: Math.min(each, rows - first) };
  });
}

/** Rows `first …` of a matrix whose rows are `ROW_MULTIPLE` at a time a multiple of 256 bytes, where they lie. */
export function rowsOf(matrix: Tensor, first: number, rows: number): Tensor {
  const [, columns] = matrix.shape;
  const offset = matrix.offset + first * columns * BYTES_PER_VALUE[matrix.dtype];
  return { ...matrix, shape: [rows, columns], offset };
}
