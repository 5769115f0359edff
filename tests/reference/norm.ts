/** `y[r, c] = x[r, c] weight[c] / √(mean_c x[r, c]² + eps)`: `x` is `[rows, width]`, `weight` `[width]`, in f64. */
export function rmsnorm(x: ArrayLike<number>, weight: ArrayLike<number>, eps: number): Float64Array {
  const width = weight.length;
  return Float64Array.from(x, (value, index) => {
    const row = Math.floor(index / width);
    return value * weight[index % width] / rootMeanSquare(x, row, width, eps);
  });
}

/** `dx[r, c] = g[c] / s - x[r, c] mean_c(g x) / s³` with `g = dy · weight` and `s` the root of {@linkcode rmsnorm}. */
export function rmsnormBackward(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  dy: ArrayLike<number>,
  eps: number,
): Float64Array {
  const width = weight.length;
  return Float64Array.from(x, (value, index) => {
    const row = Math.floor(index / width);
    const root = rootMeanSquare(x, row, width, eps);
    let product = 0;
    for (let c = 0; c < width; c++) product += dy[row * width + c] * weight[c] * x[row * width + c];
    return dy[index] * weight[index % width] / root - value * product / width / root ** 3;
  });
}

function rootMeanSquare(x: ArrayLike<number>, row: number, width: number, eps: number): number {
  let squares = 0;
  for (let c = 0; c < width; c++) squares += x[row * width + c] ** 2;
  return Math.sqrt(squares / width + eps);
}
