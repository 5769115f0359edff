/**
 * Element type of a tensor on the GPU; `f16` and `bf16` are packed two to a `u32`.
 *
 * The quantised types hold small codes, packed from the low bits of a `u32` up, and are of use only with the scales
 * beside them: a value of `int8` is its code times the scale of its row, one of `int4` its code less 8 times the
 * scale of its group of 32 along the row.
 */
export type DType = "f32" | "u32" | "f16" | "bf16" | "int8" | "int4";

/** Bytes one value takes; a quantised one without its share of the scales. */
export const BYTES_PER_VALUE: Readonly<Record<DType, number>> = {
  f32: 4,
  u32: 4,
  f16: 2,
  bf16: 2,
  int8: 1,
  int4: 0.5,
};

/** What the length of a row of a quantised tensor is a multiple of. */
export const QUANTISED_MULTIPLE = 16;

/** Values of a row of `int4` that share a scale; the last of a row may be half as many. */
const GROUP_VALUES = 32;

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
  /** Scales of a quantised tensor: see {@linkcode scalesOf}. */
  readonly scales?: Tensor;
}

/** Number of values a shape holds; 1 for a scalar's empty shape. */
export function valueCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Bytes a tensor of this type and shape takes; its scales, if it has some, not counted. */
export function byteLength(dtype: DType, shape: readonly number[]): number {
  return Math.ceil(valueCount(shape) * BYTES_PER_VALUE[dtype]);
}

/**
 * Type and shape of the scales of a tensor: one `f32` a row of `int8`, one `f16` for each 32 values of a row of
 * `int4`, none for a type that is not quantised.
 */
export function scalesOf(
  dtype: DType,
  shape: readonly number[],
): { readonly dtype: DType; readonly shape: readonly number[] } | undefined {
  const rows = valueCount(shape.slice(0, -1));
  if (dtype === "int8") return { dtype: "f32", shape: [rows] };
  if (dtype === "int4") {
    return { dtype: "f16", shape: [rows, Math.ceil(shape[shape.length - 1] / GROUP_VALUES)] };
  }
}

/** The words that hold a tensor, as the kernels that quantise write them. */
export function wordsOf({ label, dtype, shape, buffer, offset }: Tensor): Tensor {
  return { label, dtype: "u32", shape: [Math.ceil(byteLength(dtype, shape) / 4)], buffer, offset };
}
