/** `y[r, first + c] += scale bias[c]` on a copy of `y`, rows of `stride` values. */
export function addBias(
  bias: ArrayLike<number>,
  y: ArrayLike<number>,
  { rows, stride, first, scale }: { rows: number; stride: number; first: number; scale: number },
): Float64Array {
  const sum = Float64Array.from(y);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < bias.length; c++) sum[r * stride + first + c] += scale * bias[c];
  }
  return sum;
}
