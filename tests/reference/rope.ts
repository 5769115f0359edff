/** `[capacity, headDim / 2, 2]` cosines and sines of `position · theta^(-2i / headDim)`, rounded to f32. */
export function ropeTable(capacity: number, headDim: number, theta: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: capacity * headDim }, (_, at) => {
    const position = Math.floor(at / headDim), pair = Math.floor(at % headDim / 2);
    const angle = position * theta ** (-2 * pair / headDim);
    return at % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
}

/** Which columns of a row are turned: `heads` heads of `headDim` from `first` on, in a row of `stride`. */
export interface RopeShape {
  readonly heads: number;
  readonly headDim: number;
  readonly stride: number;
  readonly first: number;
}

/**
 * `x[r]` with each pair `(i, i + headDim / 2)` of each head turned by the angle of `positions[r]`; -1 turns back.
 * A turn is orthogonal, so the gradient for `x` is the gradient for the result, turned back.
 */
export function rope(
  x: ArrayLike<number>,
  positions: ArrayLike<number>,
  table: ArrayLike<number>,
  { heads, headDim, stride, first }: RopeShape,
  direction: 1 | -1,
): Float64Array {
  const turned = Float64Array.from(x);
  for (let r = 0; r < positions.length; r++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < headDim / 2; i++) {
        const a = r * stride + first + h * headDim + i, b = a + headDim / 2;
        const cosine = table[positions[r] * headDim + 2 * i];
        const sine = direction * table[positions[r] * headDim + 2 * i + 1];
        turned[a] = x[a] * cosine - x[b] * sine;
        turned[b] = x[b] * cosine + x[a] * sine;
      }
    }
  }
  return turned;
}
