/**
 * Gradient of `f` at `at` by central differences, in f64: the error falls with the square of `step`.
 *
 * @param f a scalar function of the whole vector
 */
export function centralDifferences(
  f: (x: Float64Array) => number,
  at: ArrayLike<number>,
  step = 1e-5,
): Float64Array {
  const x = Float64Array.from(at);
  return x.map((value, index) => {
    x[index] = value + step;
    const above = f(x);
    x[index] = value - step;
    const below = f(x);
    x[index] = value;
    return (above - below) / (2 * step);
  });
}

/** `Σ a[i] b[i]`: the scalar that turns a vector function and a gradient of its output into one number. */
export function inner(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += a[index] * b[index];
  return sum;
}
