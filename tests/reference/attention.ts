import type { Segment } from "../../kernels/attention_schedule.ts";

/** `kvHeads * group` query heads of `headDim` values; `group` of them share a key/value head. */
export interface AttentionShape {
  readonly kvHeads: number;
  readonly group: number;
  readonly headDim: number;
  readonly scale: number;
}

/** `q` is `[rows, kvHeads * group * headDim]`; `k` and `v` are `[keyRows, kvHeads * headDim]`. */
export interface AttentionInput {
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
}

/**
 * For each query row of the segments the key rows it attends to: the prefix, then its own up to itself, and of all
 * these the last `window`.
 */
export function visibleKeys(segments: readonly Segment[], window = Infinity): number[][] {
  return segments.flatMap(({ length, prefix = { start: 0, end: 0 }, own }) =>
    Array.from({ length }, (_, query) => {
      const keys = [...range(prefix.start, prefix.end), ...range(own.start, own.end + query)];
      return keys.slice(Math.max(0, keys.length - window));
    })
  );
}

/** For each query row of the segments its position in its sequence, which is the number of keys before it. */
export function positionsOf(segments: readonly Segment[]): number[] {
  return visibleKeys(segments).map(({ length }) => length - 1);
}

const range = (start: number, end: number) => Array.from({ length: end - start }, (_, n) => start + n);

/**
 * `y[r, h] = Σ_n p[n] v[n]` with `p = softmax_n(scale q[r, h] · k[n])` over `keys[r]`, and the log of the sum that
 * softmax divides by, in f64.
 */
export function attention(
  { q, k, v }: AttentionInput,
  keys: readonly (readonly number[])[],
  { kvHeads, group, headDim, scale }: AttentionShape,
): { y: Float64Array; lse: Float64Array } {
  const heads = kvHeads * group;
  const y = new Float64Array(keys.length * heads * headDim), lse = new Float64Array(keys.length * heads);
  for (let r = 0; r < keys.length; r++) {
    for (let h = 0; h < heads; h++) {
      const query = (r * heads + h) * headDim;
      const key = (n: number) => (n * kvHeads + Math.floor(h / group)) * headDim;
      const scores = keys[r].map((n) => scale * dot(q, query, k, key(n), headDim));
      const largest = Math.max(...scores);
      lse[r * heads + h] = largest +
        Math.log(scores.reduce((sum, score) => sum + Math.exp(score - largest), 0));
      keys[r].forEach((n, index) => {
        const p = Math.exp(scores[index] - lse[r * heads + h]);
        for (let d = 0; d < headDim; d++) y[query + d] += p * v[key(n) + d];
      });
    }
  }
  return { y, lse };
}

/** The gradients of {@linkcode attention}; that for its scores is `p (dp - Σ p dp)` with `dp[n] = dy · v[n]`. */
export function attentionBackward(
  { q, k, v }: AttentionInput,
  dy: ArrayLike<number>,
  keys: readonly (readonly number[])[],
  shape: AttentionShape,
): { dq: Float64Array; dk: Float64Array; dv: Float64Array } {
  const { kvHeads, group, headDim, scale } = shape, heads = kvHeads * group;
  const { y, lse } = attention({ q, k, v }, keys, shape);
  const delta = attentionDelta(y, dy, headDim);
  const dq = new Float64Array(q.length), dk = new Float64Array(k.length), dv = new Float64Array(v.length);
  for (let r = 0; r < keys.length; r++) {
    for (let h = 0; h < heads; h++) {
      const query = (r * heads + h) * headDim;
      for (const n of keys[r]) {
        const key = (n * kvHeads + Math.floor(h / group)) * headDim;
        const p = Math.exp(scale * dot(q, query, k, key, headDim) - lse[r * heads + h]);
        const ds = p * (dot(dy, query, v, key, headDim) - delta[r * heads + h]);
        for (let d = 0; d < headDim; d++) {
          dq[query + d] += scale * ds * k[key + d];
          dk[key + d] += scale * ds * q[query + d];
          dv[key + d] += p * dy[query + d];
        }
      }
    }
  }
  return { dq, dk, dv };
}

/** `delta[r, h] = dy[r, h] · y[r, h]`, which is `Σ_n p[n] (dy[r, h] · v[n])`. */
export function attentionDelta(
  y: ArrayLike<number>,
  dy: ArrayLike<number>,
  headDim: number,
): Float64Array {
  return Float64Array.from(
    { length: y.length / headDim },
    (_, at) => dot(dy, at * headDim, y, at * headDim, headDim),
  );
}

function dot(a: ArrayLike<number>, atA: number, b: ArrayLike<number>, atB: number, count: number): number {
  let sum = 0;
  for (let index = 0; index < count; index++) sum += a[atA + index] * b[atB + index];
  return sum;
}
