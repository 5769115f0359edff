/** `y[r, c] = Σ_k x[r, k] weight[c, k]`: `x` is `[rows, depth]`, `weight` `[columns, depth]`, in f64. */
export function matmul(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  { rows, columns, depth }: { rows: number; columns: number; depth: number },
): Float64Array {
  const y = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) sum += x[r * depth + k] * weight[c * depth + k];
      y[r * columns + c] = sum;
    }
  }
  return y;
}

/** `dx[r, k] = Σ_c dy[r, c] weight[c, k]`: the gradient of {@linkcode matmul} for `x`. */
export function matmulBackward(
  dy: ArrayLike<number>,
  weight: ArrayLike<number>,
  { rows, columns, depth }: { rows: number; columns: number; depth: number },
): Float64Array {
  const dx = new Float64Array(rows * depth);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      for (let k = 0; k < depth; k++) dx[r * depth + k] += dy[r * columns + c] * weight[c * depth + k];
    }
  }
  return dx;
}
