/** A matrix as codes, and a scale for each row or group of them. */
export interface Quantised {
  /** What the codes are before they are rounded to the nearest integer, ties to even. */
  readonly quotients: Float64Array;
  readonly codes: Float64Array;
  readonly scales: Float64Array;
}

/** One scale for each row of `depth` values, largest magnitude / 127; a weight is its code times it. */
export function quantiseInt8(weight: ArrayLike<number>, depth: number): Quantised {
  const scales = groupsOf(weight, depth, depth).map((row) => Math.fround(Math.abs(extreme(row)) / 127));
  return quantised(weight, scales, (at) => Math.floor(at / depth), (quotient) => quotient);
}

/**
 * One scale, as f16, for each 32 values along a row of `depth`, fewer at its end: the value of largest magnitude
 * / -8. A weight is its code, less 8, times the scale.
 */
export function quantiseInt4(weight: ArrayLike<number>, depth: number): Quantised {
  const scales = groupsOf(weight, depth, 32).map((group) => Math.f16round(extreme(group) / -8));
  return quantised(
    weight,
    scales,
    int4Group(depth),
    (quotient) => Math.min(Math.max(quotient + 8, 0), 15),
  );
}

/** The weights that int8 codes stand for. */
export function dequantiseInt8(
  codes: ArrayLike<number>,
  scales: ArrayLike<number>,
  depth: number,
): Float64Array {
  return Float64Array.from(codes, (code, at) => code * scales[Math.floor(at / depth)]);
}

/** The weights that int4 codes stand for. */
export function dequantiseInt4(
  codes: ArrayLike<number>,
  scales: ArrayLike<number>,
  depth: number,
): Float64Array {
  const group = int4Group(depth);
  return Float64Array.from(codes, (code, at) => (code - 8) * scales[group(at)]);
}

function quantised(
  weight: ArrayLike<number>,
  scales: readonly number[],
  scaleOf: (at: number) => number,
  toCode: (quotient: number) => number,
): Quantised {
  const quotients = Float64Array.from(weight, (value, at) => {
    const scale = scales[scaleOf(at)];
    return toCode(scale === 0 ? 0 : value / scale);
  });
  return { quotients, codes: quotients.map(roundToEven), scales: Float64Array.from(scales) };
}

/** Which scale the value at an index of a matrix of rows of `depth` has in int4. */
function int4Group(depth: number): (at: number) => number {
  return (at) => Math.floor(at / depth) * Math.ceil(depth / 32) + Math.floor(at % depth / 32);
}

/** Each row of `depth` values in groups of `size`, fewer at its end. */
function groupsOf(weight: ArrayLike<number>, depth: number, size: number): number[][] {
  const values = Array.from(weight), groups: number[][] = [];
  for (let row = 0; row < values.length; row += depth) {
    for (let at = 0; at < depth; at += size) {
      groups.push(values.slice(row + at, row + Math.min(at + size, depth)));
    }
  }
  return groups;
}

/** The value of largest magnitude; the positive one of two. */
function extreme(values: readonly number[]): number {
  const above = Math.max(0, ...values), below = Math.min(0, ...values);
  return -below > above ? below : above;
}

function roundToEven(value: number): number {
  const nearest = Math.round(value);
  return Math.abs(value % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}
