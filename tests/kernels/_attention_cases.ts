import { NO_WINDOW } from "../../kernels/attention.ts";
import { type Group, packSegments, type Segment } from "../../kernels/attention_schedule.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import {
  attention,
  attentionBackward,
  attentionDelta,
  type AttentionInput,
  type AttentionShape,
  positionsOf,
  visibleKeys,
} from "../reference/attention.ts";
import { noise } from "./_gpu.ts";

/** Sequences in one buffer, and the boundary they stand at. */
export interface PackedCase {
  readonly groups: readonly Group[];
  readonly kvHeads: number;
  readonly group: number;
  readonly headDim: number;
  readonly rowTile: number;
  /** Keys a row sees at most; all unless given. */
  readonly window?: number;
  readonly why: string;
  /** At the boundary of 32 lanes. */
  readonly wide?: boolean;
  /** Largest score, roughly; 2 unless given. */
  readonly size?: number;
}

const sequences = (...lengths: number[]): Group[] => lengths.map((prefix) => ({ prefix, branches: [] }));

const SHAPE = { kvHeads: 2, group: 1, headDim: 64, rowTile: 8 };

/** What the forward kernel and both backward kernels are run on. */
export const PACKED_CASES: readonly PackedCase[] = [
  { ...SHAPE, groups: [], why: "no rows" },
  { ...SHAPE, groups: sequences(1), why: "a segment of one token" },
  { ...SHAPE, groups: sequences(0, 3, 0), why: "segments of no token" },
  { ...SHAPE, groups: sequences(7), why: "one row short of a tile" },
  { ...SHAPE, groups: sequences(8), why: "a tile" },
  { ...SHAPE, groups: sequences(9), why: "one row past a tile" },
  { ...SHAPE, groups: sequences(15, 16, 17), why: "around two keys for each of 8 lanes" },
  { ...SHAPE, group: 2, groups: sequences(3, 4, 5), why: "two heads share keys, around a tile" },
  { ...SHAPE, group: 4, groups: sequences(1, 2, 3), why: "four heads share keys, around a tile" },
  { ...SHAPE, group: 3, groups: sequences(7, 1), why: "a row's three heads lie in two tiles" },
  { ...SHAPE, kvHeads: 1, group: 16, groups: sequences(3), why: "a row's sixteen heads fill two tiles" },
  { ...SHAPE, groups: [{ prefix: 0, branches: [3, 2] }], why: "an empty prefix" },
  { ...SHAPE, groups: [{ prefix: 5, branches: [4] }], why: "one branch" },
  { ...SHAPE, groups: [{ prefix: 1, branches: [1, 1] }], why: "prefix and branches of one token" },
  {
    ...SHAPE,
    group: 2,
    groups: [{ prefix: 9, branches: [0, 8, 1, 17] }, ...sequences(3), { prefix: 16, branches: [7, 7] }],
    why: "prefixes with several branches between other sequences",
  },
  { ...SHAPE, headDim: 4, groups: sequences(10), why: "a head of one vector" },
  { ...SHAPE, headDim: 36, groups: sequences(10), why: "a head of a vector past 8 lanes" },
  { ...SHAPE, headDim: 128, rowTile: 4, groups: sequences(3, 4, 5), why: "heads of 128, around a tile of 4" },
  { ...SHAPE, headDim: 128, rowTile: 4, group: 4, groups: sequences(6), why: "four heads fill a tile of 4" },
  {
    ...SHAPE,
    headDim: 128,
    rowTile: 4,
    groups: sequences(31, 32, 33),
    wide: true,
    why: "around an item for each of 32 lanes",
  },
  {
    ...SHAPE,
    headDim: 128,
    rowTile: 4,
    groups: sequences(63, 64, 65),
    wide: true,
    why: "around two keys for each of 32 lanes",
  },
  { ...SHAPE, groups: sequences(9), window: 1, why: "a window of the row itself" },
  { ...SHAPE, groups: sequences(20), window: 20, why: "a window as long as the sequence" },
  { ...SHAPE, groups: sequences(20), window: 19, why: "a window one short of the sequence" },
  { ...SHAPE, groups: sequences(40), window: 15, why: "a window one short of two keys for each of 8 lanes" },
  { ...SHAPE, groups: sequences(40), window: 16, why: "a window of two keys for each of 8 lanes" },
  { ...SHAPE, groups: sequences(40), window: 17, why: "a window one past two keys for each of 8 lanes" },
  {
    ...SHAPE,
    group: 5,
    kvHeads: 1,
    headDim: 48,
    groups: sequences(30, 7),
    window: 9,
    why: "five heads in a window",
  },
  {
    ...SHAPE,
    group: 2,
    groups: [{ prefix: 20, branches: [6, 0, 25] }, ...sequences(3)],
    window: 8,
    why: "windows that reach from branches into their prefix, or no more",
  },
  { ...SHAPE, groups: sequences(70), window: 33, wide: true, why: "a window past 32 lanes" },
  {
    ...SHAPE,
    size: 100,
    groups: sequences(40),
    window: 5,
    why: "a window, and scores whose exponential overflows",
  },
  { ...SHAPE, size: 200, groups: sequences(20), why: "scores whose exponential overflows f32" },
];

/** A case as text, for the name of its test. */
export function titleOf({ groups, kvHeads, group, headDim, rowTile, window }: PackedCase): string {
  const lengths = groups.map(({ prefix, branches }) => [prefix, ...branches].join("+")).join(", ");
  const seen = window === undefined ? "" : `, window ${window}`;
  return `[${lengths}] rows, ${kvHeads} x ${group} heads of ${headDim}, row_tile=${rowTile}${seen}`;
}

/** Rows behind the segments, which no kernel may look at or change. */
const SPARE_ROWS = 2;

/** A case laid out as the model does it, and what the reference needs of it. */
export interface Packed {
  readonly segments: readonly Segment[];
  readonly keys: readonly (readonly number[])[];
  /** `window` of the kernels. */
  readonly window: number;
  readonly shape: AttentionShape;
  readonly input: AttentionInput;
  /** Rows with and without the spare ones. */
  readonly rows: number;
  readonly used: number;
  readonly heads: number;
  readonly width: number;
  readonly stride: number;
  /** `[rows, stride]`: q, k and v side by side; NaN in the spare rows. */
  readonly qkv: Float32Array<ArrayBuffer>;
}

/** Lays out a case and fills it with noise. */
export function pack({ groups, kvHeads, group, headDim, window, size = 2 }: PackedCase): Packed {
  const segments = packSegments(groups), keys = visibleKeys(segments, window);
  const heads = kvHeads * group, width = heads * headDim, kvWidth = kvHeads * headDim;
  const used = keys.length, rows = used + SPARE_ROWS;
  const q = noise(used * width, 1), k = noise(used * kvWidth, 2), v = noise(used * kvWidth, 3);
  const stride = width + 2 * kvWidth;
  const qkv = sideBySide(
    rows,
    [[q, width], [k, kvWidth], [v, kvWidth]],
    new Float32Array(rows * stride).fill(NaN),
  );
  // A product of two numbers in [-1, 1) has a deviation of 1/3, and the largest of many is about three times that.
  const scale = size / Math.sqrt(headDim);
  const shape = { kvHeads, group, headDim, scale };
  return {
    segments,
    keys,
    window: window ?? NO_WINDOW,
    shape,
    input: { q, k, v },
    rows,
    used,
    heads,
    width,
    stride,
    qkv,
  };
}

/** `into` with the columns of each part written over it from its first row on, part beside part. */
export function sideBySide<T extends Float32Array | Float64Array>(
  rows: number,
  parts: readonly (readonly [ArrayLike<number>, number])[],
  into: T,
): T {
  const stride = into.length / rows;
  let first = 0;
  for (const [values, width] of parts) {
    for (let at = 0; at < values.length; at++) {
      into[Math.floor(at / width) * stride + first + at % width] = values[at];
    }
    first += width;
  }
  return into;
}

/** Noise whose start `values` replace: what a kernel leaves of a buffer of noise. */
export function overNoise(count: number, seed: number, values: ArrayLike<number>): Float64Array {
  const after = Float64Array.from(noise(count, seed));
  after.set(Array.from(values));
  return after;
}

/** New tokens of sequences whose earlier ones are in a cache, and the boundary they stand at. */
export interface CachedCase extends Omit<PackedCase, "groups" | "wide" | "size"> {
  readonly lengths: readonly number[];
  readonly cached: readonly number[];
  /** Tokens in the cache that all sequences go on from. */
  readonly shared?: number;
}

/** What `attention` and `attention_backward_query` are run on where keys and values lie in a cache. */
export const CACHED_CASES: readonly CachedCase[] = [
  { lengths: [], cached: [], why: "no rows" },
  { lengths: [1], cached: [0], why: "the first token" },
  { lengths: [1, 1, 1], cached: [14, 15, 16], why: "around two keys for each of 8 lanes" },
  { lengths: [1, 1, 1], cached: [62, 63, 64], why: "around two keys for each of 32 lanes" },
  { lengths: [5, 1, 9], cached: [0, 3, 20], why: "prefill beside decode" },
  { lengths: [1, 3], cached: [4, 0], shared: 6, why: "a prefix in the cache that both go on from" },
].flatMap((base) =>
  [
    { kvHeads: 1, group: 4, headDim: 64, rowTile: 4, window: 7 },
    { kvHeads: 2, group: 1, headDim: 128, rowTile: 4 },
    { kvHeads: 2, group: 2, headDim: 128, rowTile: 4 },
    { kvHeads: 1, group: 4, headDim: 128, rowTile: 4 },
    { kvHeads: 1, group: 4, headDim: 64, rowTile: 8 },
  ].map((shape) => ({ ...base, ...shape }))
);

/** A case as text, for the name of its test. */
export function cachedTitleOf({ lengths, cached, kvHeads, group, headDim, rowTile, window }: CachedCase) {
  const seen = window === undefined ? "" : `, window ${window}`;
  return `[${lengths}] tokens behind [${cached}] cached, ${kvHeads} x ${group} heads of ${headDim}, ` +
    `row_tile=${rowTile}${seen}`;
}

/** Lays a cached case out; `keys` are slots of the cache, of which those that no row could attend to hold NaN. */
export function packCached({ lengths, cached, shared = 0, kvHeads, group, headDim, window }: CachedCase) {
  const kvWidth = kvHeads * headDim, heads = kvHeads * group, width = heads * headDim;
  const stride = width + 2 * kvWidth;
  const segments: Segment[] = [], prefix = { start: 2, end: 2 + shared };
  // A slot between the sequences, so that each finds its own place.
  let used = 0, slots = prefix.end + 1;
  lengths.forEach((length, index) => {
    const end = slots + cached[index] + 1;
    segments.push({ start: used, length, ...(shared > 0 && { prefix }), own: { start: slots, end } });
    used += length;
    slots = end + length;
  });
  const rows = used + 1, keys = visibleKeys(segments, window);
  // What no row could attend to is never looked at; what only lies outside the window may be, to no effect.
  const seen = new Set(visibleKeys(segments).flat());
  const input = { q: noise(used * width, 1), k: noise(slots * kvWidth, 2), v: noise(slots * kvWidth, 3) };
  const kv = sideBySide(
    slots,
    [[input.k, kvWidth], [input.v, kvWidth]],
    new Float32Array(slots * 2 * kvWidth),
  )
    .map((value, at) => seen.has(Math.floor(at / 2 / kvWidth)) ? value : NaN);
  // The slot of each row's own key.
  const ownSlots = segments.flatMap(({ length, own }) =>
    Array.from({ length }, (_, row) => own.end - 1 + row)
  );
  const own = (values: Float32Array) =>
    Float32Array.from(ownSlots.flatMap((slot) => [...values.subarray(slot * kvWidth, (slot + 1) * kvWidth)]));
  const q = sideBySide(
    rows,
    [[input.q, width], [own(input.k), kvWidth], [own(input.v), kvWidth]],
    new Float32Array(rows * stride).fill(NaN),
  );
  const shape = { kvHeads, group, headDim, scale: 2 / Math.sqrt(headDim) };
  return {
    ...{ segments, keys, window: window ?? NO_WINDOW, shape, input, ownSlots },
    ...{ rows, used, slots, heads, width, kvWidth, stride, q, kv },
  };
}

/** Uploads a cached case for the backward kernels. */
export function uploadCachedBackward(gpu: Gpu, packed: ReturnType<typeof packCached>) {
  const { input, segments, keys, shape, rows, slots, heads, width, stride, q, kv } = packed;
  const dy = noise(keys.length * width, 4);
  const { y, lse } = attention(input, keys, shape);
  const delta = attentionDelta(y, dy, shape.headDim);
  const spared = (values: ArrayLike<number>, columns: number) =>
    sideBySide(rows, [[values, columns]], new Float32Array(rows * columns).fill(NaN));
  return {
    tensors: {
      positions: gpu.upload("positions", Uint32Array.from([...positionsOf(segments), 0])),
      q: gpu.upload("q", q, [rows, stride]),
      kv: gpu.upload("kv", kv, [slots, kv.length / slots]),
      lse: gpu.upload("lse", spared(lse, heads), [rows, heads]),
      delta: gpu.upload("delta", spared(delta, heads), [rows, heads]),
      dy: gpu.upload("dy", spared(dy, width), [rows, width]),
      dq: gpu.upload("dq", noise(rows * stride, 5), [rows, stride]),
    },
    gradients: attentionBackward(input, dy, keys, shape),
  };
}

/** What a backward kernel is given besides the schedule, and the gradients it should give. */
export interface PackedBackward {
  readonly params: Readonly<
    Record<"kv_heads" | "group" | "rows" | "stride" | "k_first" | "v_first" | "window" | "scale", number>
  >;
  readonly tensors: Readonly<Record<"qkv" | "positions" | "lse" | "delta" | "dy" | "dqkv", Tensor>>;
  readonly gradients: ReturnType<typeof attentionBackward>;
}

/** Uploads what the backward kernels read, as the reference has it, and noise for what they write. */
export function uploadBackward(gpu: Gpu, packed: Packed): PackedBackward {
  const { input, segments, keys, window, shape, rows, heads, width, stride, qkv } = packed;
  const dy = noise(keys.length * width, 4);
  const { y, lse } = attention(input, keys, shape);
  const delta = attentionDelta(y, dy, shape.headDim);
  const spared = (values: ArrayLike<number>, columns: number) =>
    sideBySide(rows, [[values, columns]], new Float32Array(rows * columns).fill(NaN));
  return {
    params: {
      kv_heads: shape.kvHeads,
      group: shape.group,
      rows,
      stride,
      k_first: width,
      v_first: width + shape.kvHeads * shape.headDim,
      window,
      scale: shape.scale,
    },
    tensors: {
      positions: gpu.upload("positions", Uint32Array.from([...positionsOf(segments), 0, 0])),
      qkv: gpu.upload("qkv", qkv, [rows, stride]),
      lse: gpu.upload("lse", spared(lse, heads), [rows, heads]),
      delta: gpu.upload("delta", spared(delta, heads), [rows, heads]),
      dy: gpu.upload("dy", spared(dy, width), [rows, width]),
      dqkv: gpu.upload("dqkv", noise(rows * stride, 5), [rows, stride]),
    },
    gradients: attentionBackward(input, dy, keys, shape),
  };
}
