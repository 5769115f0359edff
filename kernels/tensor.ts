/** Element type of a tensor on the GPU; `f16` and `bf16` are packed two to a `u32`. */
export type DType = "f32" | "u32" | "f16" | "bf16";

/** Bytes one value takes. */
export const BYTES_PER_VALUE: Readonly<Record<DType, number>> = { f32: 4, u32: 4, f16: 2, bf16: 2 };

/** A shaped, typed, labelled range of a GPU buffer. Row-major; the last axis is contiguous. */
export interface Tensor {
  /** What it holds, as it stands in error messages. */
  readonly label: string;
  /** Type of its values. */
  readonly dtype: DType;
  /** Extent of each axis; empty for a scalar. */
  readonly shape: readonly number[];
  /** The buffer it lies in. */
  readonly buffer: GPUBuffer;
  /** First byte of the tensor in `buffer`. */
  readonly offset: number;
}

/** Number of values a shape holds; 1 for a scalar's empty shape. */
export function valueCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Bytes a tensor of this type and shape takes. */
export function byteLength(dtype: DType, shape: readonly number[]): number {
  return valueCount(shape) * BYTES_PER_VALUE[dtype];
}
