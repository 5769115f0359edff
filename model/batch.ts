/**
 * Packing: sequences laid end to end as one list of tokens, with no padding between them.
 *
 * A *group* is a prefix and the branches that continue it; its tokens lie in that order. A branch reads the prefix
 * and itself, not the other branches. A plain sequence is a group without branches.
 */
import { dataError } from "../core/files.ts";
import type { Gpu } from "../kernels/gpu.ts";
import {
  attentionKeyTiles,
  attentionTiles,
  packSegments,
  ROW_TILE,
  type Segment,
} from "../kernels/attention_schedule.ts";
import type { Tensor } from "../kernels/tensor.ts";

/** A prefix with its branches. */
export interface TokenGroup {
  readonly prefix: readonly number[];
  readonly branches: readonly (readonly number[])[];
  /** Tells the tokens of one example from another's in dropout. */
  readonly id: number;
}

/** New tokens of a sequence whose earlier ones are in the cache. */
export interface CachedSequence {
  readonly tokens: readonly number[];
  /** Tokens in the cache already. */
  readonly cached: number;
  /** Row of the cache at which the sequence begins. */
  readonly firstSlot: number;
  /** Row of the cache from which on the new tokens are put; behind the cached ones unless given. */
  readonly newSlot?: number;
  /** Tokens that the sequence will have, where more will follow: some rotary positions depend on that. */
  readonly length?: number;
  /** Number of the example and of its branch, in dropout; needed where there is any. */
  readonly example?: { readonly id: number; readonly branch: number };
}

/** A batch on the GPU. `free` gives all of it back, but for the cache. */
export interface PackedBatch {
  /** `T` */
  readonly rows: number;
  /** `U`: rows whose hidden state is wanted */
  readonly outputRows: number;
  /** The first rows and outputs run with the adapter. */
  readonly adaptedRows: number;
  readonly adaptedOutputs: number;
  /** `[T]` u32 token ids */
  readonly ids: Tensor;
  /** `[T]` u32 positions within the sequence, from 0 */
  readonly positions: Tensor;
  /** The same on the host, and the number of tokens of the sequence that each row belongs to. */
  readonly rowPositions: readonly number[];
  readonly rowLengths: readonly number[];
  /** `[T]` u32 numbers for dropout */
  readonly counters: Tensor;
  /** `[U]` u32 row of each output, and its number for dropout */
  readonly outputs: Tensor;
  readonly outputCounters: Tensor;
  readonly schedule: Schedule;
  readonly cache?: { readonly slots: Tensor; readonly layers: readonly Tensor[] };
  free(): void;
}

/** Which workgroup computes which part of attention; tiles as `kernels/attention_schedule.ts` describes them. */
export interface Schedule {
  /** Items of a tile at most. */
  readonly rowTile: number;
  /** `[tiles, 8]` u32 */
  readonly tiles: Tensor;
  /** For the backward pass: `[tiles, 8]` and `[key tiles, 4]` u32 of the adapted rows. */
  readonly backward?: { readonly tiles: Tensor; readonly keyTiles: Tensor };
}

/** Heads up to which a smaller tile pays when each sequence has one query, as in generation. */
const SMALL_TILE = 4;

/**
 * Refuses sequences that a model cannot read.
 *
 * @param limit most tokens of one
 * @throws {UserError} of kind `data` for one that is empty or too long
 */
export function checkSequences(sequences: readonly (readonly number[])[], limit: number): void {
  const index = sequences.findIndex(({ length }) => length === 0 || length > limit);
  if (index < 0) return;
  const { length } = sequences[index];
  throw dataError(
    length === 0
      ? "The sequence has no tokens"
      : `The sequence has ${length} tokens, but the model can take at most ${limit}`,
    `sequence ${index} of ${sequences.length}`,
    length === 0
      ? "leave it out, or begin it with the tokenizer's first token"
      : "use shorter texts, fewer worked examples (--kshot) or a lower --max-new-tokens",
  );
}

/** Tokens that are read at once, unless a single sequence has more: bounds the memory that they take. */
export const TOKENS_AT_ONCE = 4096;

/**
 * Cuts sequences into batches, in their order.
 *
 * @param size most sequences of a batch, which has {@linkcode TOKENS_AT_ONCE} at most unless it is a single one
 */
export function* inBatches<T>(
  items: readonly T[],
  size: number,
  lengthOf: (item: T) => number,
): Iterable<T[]> {
  let batch: T[] = [], tokens = 0;
  for (const item of items) {
    const length = lengthOf(item);
    if (batch.length > 0 && (batch.length >= size || tokens + length > TOKENS_AT_ONCE)) {
      yield batch;
      [batch, tokens] = [[], 0];
    }
    batch.push(item);
    tokens += length;
  }
  if (batch.length > 0) yield batch;
}

/** How a batch of groups is to be run. */
export interface GroupBatch {
  /** Groups that run with the adapter, then groups that run without. */
  readonly adapted: readonly TokenGroup[];
  readonly plain: readonly TokenGroup[];
  /** Rows whose hidden state is wanted: those of adapted groups first. */
  readonly outputs: readonly number[];
  /** Whether a backward pass will follow. */
  readonly backward: boolean;
}

/**
 * Packs whole groups: training and scoring.
 *
 * @param headGroup query heads that share a key/value head
 */
export function packGroups(gpu: Gpu, batch: GroupBatch, headGroup: number): PackedBatch {
  const groups = [...batch.adapted, ...batch.plain];
  const sequences = groups.flatMap(({ id, prefix, branches }) => [
    { tokens: prefix, first: 0, uid: dropoutUid(id, 0) },
    ...branches.map((tokens, branch) => ({ tokens, first: prefix.length, uid: dropoutUid(id, branch + 1) })),
  ]);
  const positions = sequences.flatMap(({ tokens, first }) => tokens.map((_, index) => first + index));
  const uids = sequences.flatMap(({ tokens, uid }) => tokens.map(() => uid));
  // A group counts as long as its longest branch makes it: its prefix is computed once for all of them.
  const lengths = groups.flatMap(({ prefix, branches }) => {
    const rows = branches.reduce((sum, { length }) => sum + length, prefix.length);
    const longest = branches.reduce((most, { length }) => Math.max(most, length), 0);
    return Array<number>(rows).fill(prefix.length + longest);
  });
  const segments = segmentsOf(groups), adaptedSegments = segmentsOf(batch.adapted);
  const adaptedRows = adaptedSegments.reduce((sum, { length }) => sum + length, 0);
  const options = { group: headGroup, rowTile: ROW_TILE };
  return upload(gpu, {
    ids: sequences.flatMap(({ tokens }) => tokens),
    positions,
    lengths,
    counters: positions.map((position, row) => (uids[row] + position) >>> 0),
    outputs: batch.outputs,
    adaptedRows,
    adaptedOutputs: batch.outputs.filter((row) => row < adaptedRows).length,
    rowTile: ROW_TILE,
    tiles: attentionTiles(segments, options),
    backward: batch.backward
      ? {
        tiles: attentionTiles(adaptedSegments, options),
        keyTiles: attentionKeyTiles(adaptedSegments, options),
      }
      : undefined,
  });
}

function segmentsOf(groups: readonly TokenGroup[]): Segment[] {
  return packSegments(groups.map(({ prefix, branches }) => ({
    prefix: prefix.length,
    branches: branches.map(({ length }) => length),
  })));
}

/** How new tokens behind a cache are to be run. */
export interface CachedBatch {
  readonly sequences: readonly CachedSequence[];
  /** Keys and values of every layer. */
  readonly layers: readonly Tensor[];
  /** Whether all of them run with the adapter, or none. */
  readonly adapted: boolean;
  /** Rows whose hidden state is wanted: each sequence's last unless given. */
  readonly outputs?: readonly number[];
  /** Whether a backward pass will follow, which takes what lies in the cache as it is. */
  readonly backward?: boolean;
}

/**
 * Packs new tokens of sequences that go on in a cache: prefill and decode alike, and training behind a frozen prefix.
 *
 * @param headGroup query heads that share a key/value head
 */
export function packCached(gpu: Gpu, batch: CachedBatch, headGroup: number): PackedBatch {
  const { sequences, layers, adapted, backward = false } = batch;
  const rowTile = headGroup <= SMALL_TILE && sequences.every(({ tokens }) => tokens.length === 1)
    ? SMALL_TILE
    : ROW_TILE;
  const ends: number[] = [];
  let rows = 0;
  const slotOf = ({ firstSlot, cached, newSlot = firstSlot + cached }: CachedSequence) => newSlot;
  const segments = sequences.map((sequence): Segment => {
    const { tokens: { length }, cached, firstSlot } = sequence, own = slotOf(sequence), start = rows;
    ends.push((rows += length) - 1);
    const prefix = { start: firstSlot, end: firstSlot + cached };
    return { start, length, prefix, own: { start: own, end: own + 1 } };
  });
  const positions = sequences.flatMap(({ tokens, cached }) => tokens.map((_, index) => cached + index));
  const outputs = batch.outputs ?? ends;
  const options = { group: headGroup, rowTile };
  const tiles = attentionTiles(segments, options);
  // In the backward pass a row's keys are those of its own sequence among the rows.
  const own = segments.map(({ start, length }) => ({ start, length, own: { start, end: start + 1 } }));
  return upload(gpu, {
    ids: sequences.flatMap(({ tokens }) => tokens),
    positions,
    lengths: sequences.flatMap(({ tokens, cached, length = cached + tokens.length }) =>
      tokens.map(() => length)
    ),
    counters: sequences.flatMap(({ tokens, cached, example }) =>
      example === undefined
        ? []
        : tokens.map((_, index) => (dropoutUid(example.id, example.branch) + cached + index) >>> 0)
    ),
    outputs,
    adaptedRows: adapted ? rows : 0,
    adaptedOutputs: adapted ? outputs.length : 0,
    rowTile,
    tiles,
    backward: backward ? { tiles, keyTiles: attentionKeyTiles(own, options) } : undefined,
    cache: {
      slots: sequences.flatMap((sequence) => sequence.tokens.map((_, index) => slotOf(sequence) + index)),
      layers,
    },
  });
}

/**
 * Where the numbers of an example's prefix (branch 0) or branch (from 1) begin. They differ for 65,536 examples in a
 * row with three branches of up to 16,384 tokens; beyond that two tokens may share a mask, which does no harm.
 */
function dropoutUid(id: number, branch: number): number {
  return (id * 4 + branch) * 2 ** 14;
}

interface HostBatch {
  readonly ids: readonly number[];
  readonly positions: readonly number[];
  readonly lengths: readonly number[];
  readonly counters: readonly number[];
  readonly outputs: readonly number[];
  readonly adaptedRows: number;
  readonly adaptedOutputs: number;
  readonly rowTile: number;
  readonly tiles: Uint32Array<ArrayBuffer>;
  readonly backward?: {
    readonly tiles: Uint32Array<ArrayBuffer>;
    readonly keyTiles: Uint32Array<ArrayBuffer>;
  };
  readonly cache?: { readonly slots: readonly number[]; readonly layers: readonly Tensor[] };
}

function upload(gpu: Gpu, host: HostBatch): PackedBatch {
  const tensors: Tensor[] = [];
  const put = (label: string, data: Uint32Array<ArrayBuffer>, width = 1) => {
    const tensor = gpu.upload(label, data, width === 1 ? [data.length] : [data.length / width, width]);
    tensors.push(tensor);
    return tensor;
  };
  const list = (label: string, values: readonly number[]) => put(label, Uint32Array.from(values));
  return {
    rows: host.ids.length,
    outputRows: host.outputs.length,
    adaptedRows: host.adaptedRows,
    adaptedOutputs: host.adaptedOutputs,
    ids: list("ids", host.ids),
    positions: list("positions", host.positions),
    rowPositions: host.positions,
    rowLengths: host.lengths,
    counters: list("counters", host.counters),
    outputs: list("outputs", host.outputs),
    outputCounters: list("output counters", host.outputs.map((row) => host.counters[row] ?? 0)),
    schedule: {
      rowTile: host.rowTile,
      tiles: put("tiles", host.tiles, 8),
      backward: host.backward &&
        {
          tiles: put("tiles", host.backward.tiles, 8),
          keyTiles: put("key tiles", host.backward.keyTiles, 4),
        },
    },
    cache: host.cache && { slots: list("slots", host.cache.slots), layers: host.cache.layers },
    free: () => gpu.free(...tensors),
  };
}
