const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** `y[r, c] = silu(gate) up`, with `gateUp` `[rows, 2 width]`, gate first, in f64. */
export function swiglu(gateUp: ArrayLike<number>, width: number): Float64Array {
  return Float64Array.from({ length: gateUp.length / 2 }, (_, index) => {
    const at = index + Math.floor(index / width) * width;
    return gateUp[at] * sigmoid(gateUp[at]) * gateUp[at + width];
  });
}

/** The gradient of {@linkcode swiglu} for `gateUp`: `silu'(g) = σ(g) (1 + g (1 - σ(g)))`. */
export function swigluBackward(
  gateUp: ArrayLike<number>,
  dy: ArrayLike<number>,
  width: number,
): Float64Array {
  const gradient = new Float64Array(gateUp.length);
  for (let index = 0; index < dy.length; index++) {
    const at = index + Math.floor(index / width) * width;
    const gate = gateUp[at], up = gateUp[at + width], s = sigmoid(gate);
    gradient[at] = dy[index] * up * s * (1 + gate * (1 - s));
    gradient[at + width] = dy[index] * gate * s;
  }
  return gradient;
}
