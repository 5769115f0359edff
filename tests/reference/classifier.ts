import { crossEntropy, crossEntropyBackward } from "./loss.ts";

/** `max(x, 0)`, in f64. */
export function relu(x: ArrayLike<number>): Float64Array<ArrayBuffer> {
  return Float64Array.from(x, (value) => value > 0 ? value : 0);
}

/** The gradient of {@linkcode relu} for its input, from its output; 0 at 0. */
export function reluBackward(y: ArrayLike<number>, dy: ArrayLike<number>): Float64Array<ArrayBuffer> {
  return Float64Array.from(dy, (value, index) => y[index] > 0 ? value : 0);
}

/** `sums[c] = Σ_r x[r, c]`, in f64. */
export function columnSums(x: ArrayLike<number>, columns: number): Float64Array<ArrayBuffer> {
  const sums = new Float64Array(columns);
  for (let index = 0; index < x.length; index++) sums[index % columns] += x[index];
  return sums;
}

/** One linear layer: weight `[outputs, inputs]`, bias `[outputs]`. */
export interface Layer {
  readonly inputs: number;
  readonly outputs: number;
  readonly weight: ArrayLike<number>;
  readonly bias: ArrayLike<number>;
}

/** What every layer of one row is given, and at last the logits: linear layers, ReLU between them. */
export function classify(layers: readonly Layer[], features: ArrayLike<number>): Float64Array<ArrayBuffer>[] {
  const values = [Float64Array.from(features)];
  layers.forEach(({ inputs, outputs, weight, bias }, index) => {
    const x = values[index];
    const y = Float64Array.from({ length: outputs }, (_, o) => {
      let sum = bias[o];
      for (let i = 0; i < inputs; i++) sum += weight[o * inputs + i] * x[i];
      return sum;
    });
    values.push(index === layers.length - 1 ? y : relu(y));
  });
  return values;
}

/** Gradients of the mean cross-entropy of some rows: of each layer's weight and bias, and of the features. */
export function classifierGradient(
  layers: readonly Layer[],
  rows: readonly ArrayLike<number>[],
  labels: readonly number[],
): { loss: number; weights: Float64Array[]; biases: Float64Array[]; features: Float64Array[] } {
  const weights = layers.map(({ weight }) => new Float64Array(weight.length));
  const biases = layers.map(({ outputs }) => new Float64Array(outputs));
  const features: Float64Array[] = [];
  let loss = 0;
  rows.forEach((row, r) => {
    const values = classify(layers, row);
    loss += crossEntropy(values.at(-1)!, labels[r], 0) / rows.length;
    let dy = Float64Array.from(crossEntropyBackward(values.at(-1)!, labels[r], 0), (d) => d / rows.length);
    for (let index = layers.length - 1; index >= 0; index--) {
      const { inputs, outputs, weight } = layers[index], x = values[index];
      if (index < layers.length - 1) dy = reluBackward(values[index + 1], dy);
      const dx = new Float64Array(inputs);
      for (let o = 0; o < outputs; o++) {
        biases[index][o] += dy[o];
        for (let i = 0; i < inputs; i++) {
          weights[index][o * inputs + i] += dy[o] * x[i];
          dx[i] += dy[o] * weight[o * inputs + i];
        }
      }
      dy = dx;
    }
    features.push(dy);
  });
  return { loss, weights, biases, features };
}
