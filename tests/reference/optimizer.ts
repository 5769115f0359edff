import { inner } from "./central_differences.ts";

/** `Σ_s gradient[s, i]` for each `i`, in f64: `gradient` is `[splits, count]`. */
export function sumSplits(gradient: ArrayLike<number>, count: number): Float64Array {
  const sum = new Float64Array(count);
  for (let index = 0; index < gradient.length; index++) sum[index % count] += gradient[index];
  return sum;
}

/** Settings of one step, named as torch names them; `maxNorm` 0 clips nothing. */
export interface AdamwOptions {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  readonly maxNorm: number;
}

/** Parameters and moments, changed in place. */
export interface AdamwState {
  readonly parameters: Float64Array;
  readonly m: Float64Array;
  readonly v: Float64Array;
}

/** `torch.nn.utils.clip_grad_norm_` and one step, the `t`-th from 1, of `torch.optim.AdamW`; gives the norm before. */
export function adamw(
  { parameters, m, v }: AdamwState,
  gradient: ArrayLike<number>,
  t: number,
  { learningRate, beta1, beta2, eps, weightDecay, maxNorm }: AdamwOptions,
): number {
  const norm = Math.sqrt(inner(gradient, gradient));
  const clip = maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1;
  for (let i = 0; i < parameters.length; i++) {
    const g = clip * gradient[i];
    parameters[i] *= 1 - learningRate * weightDecay;
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    const denominator = Math.sqrt(v[i]) / Math.sqrt(1 - beta2 ** t) + eps;
    parameters[i] -= learningRate / (1 - beta1 ** t) * m[i] / denominator;
  }
  return norm;
}
