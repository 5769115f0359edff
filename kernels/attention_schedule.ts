import { UserError } from "../core/errors.ts";

/**
 * Items of a tile and keys of a key tile, unless a call sets `row_tile`. Generation, where a segment has one query,
 * gains from 4 if no more than 4 heads share a kv head.
 */
export const ROW_TILE = 8;

/** Rows from `start` up to and without `end`. */
export interface Rows {
  readonly start: number;
  readonly end: number;
}

/**
 * Neighbouring rows that attend to the same prefix, and causally to keys of their own.
 *
 * Where keys and queries are rows of one buffer, as in training, `own` is `{ start, end: start + 1 }`: the first query
 * sees itself. In generation keys are slots of a cache, and `own` holds all tokens of the sequence so far, the first
 * query's own included.
 */
export interface Segment {
  /** Row of the first query. */
  readonly start: number;
  /** Number of queries. */
  readonly length: number;
  /** Key rows that every query sees before its own; empty unless given. */
  readonly prefix?: Rows;
  /** Key rows that the first query sees; each later query sees one more. */
  readonly own: Rows;
}

/** A token sequence, and sequences that each continue it as if they were alone; lengths in tokens. */
export interface Group {
  readonly prefix: number;
  readonly branches: readonly number[];
}

/** How tiles are cut. */
export interface TileOptions {
  /** Query heads that share a kv head. */
  readonly group: number;
  /** Items of a tile at most: the constant `row_tile` of the kernel. */
  readonly rowTile?: number;
}

/** Segments of groups laid out from row 0 on without gaps: each group's prefix, then its branches. */
export function packSegments(groups: readonly Group[]): Segment[] {
  let row = 0;
  return groups.flatMap(({ prefix, branches }) => {
    const shared = { start: row, end: row + prefix };
    return [prefix, ...branches].map((length, index): Segment => {
      const start = row;
      row += length;
      return { start, length, ...(index > 0 && { prefix: shared }), own: { start, end: start + 1 } };
    });
  });
}

/**
 * The `tiles` of `attention` and `attention_backward_query`, `[count, 8]`: first_row, first_item, item_count,
 * prefix_start, prefix_end, own_start, own_end and an unused value.
 *
 * A query and one of the `group` heads that share a kv head make an item, and items are numbered `query * group + head`
 * within a segment. A tile has `item_count` of them from `first_item` on; `first_row` is the segment's first row.
 */
export function attentionTiles(
  segments: readonly Segment[],
  { group, rowTile = ROW_TILE }: TileOptions,
): Uint32Array<ArrayBuffer> {
  const tiles: Tile[] = [];
  for (const { start, length, prefix = { start: 0, end: 0 }, own } of segments) {
    const items = length * group;
    for (let first = 0; first < items; first += rowTile) {
      const count = Math.min(rowTile, items - first);
      const keys = prefix.end - prefix.start + own.end - own.start + Math.floor((first + count - 1) / group);
      tiles.push({
        fields: [start, first, count, prefix.start, prefix.end, own.start, own.end, 0],
        work: keys,
      });
    }
  }
  return balanced(tiles);
}

/**
 * The `key_tiles` of `attention_backward_key_value`, `[count, 4]`: first_key, key_count, query_end and an unused value.
 *
 * A tile has `key_count` neighbouring keys of one segment. The rows that attend to key `k` are those from `k` up to
 * `query_end`: the segment's own later rows and, if it is a prefix, all rows of its branches, which lie directly
 * behind it. A branch ends at `query_end`, so no other branch sees its keys.
 *
 * @throws {UserError} if a segment's keys are not its own rows, or if branches do not lie directly behind their prefix
 */
export function attentionKeyTiles(
  segments: readonly Segment[],
  { rowTile = ROW_TILE }: Pick<TileOptions, "rowTile"> = {},
): Uint32Array<ArrayBuffer> {
  const queryEnds = queryEndsOf(segments);
  const tiles: Tile[] = [];
  segments.forEach(({ start, length }, index) => {
    const queryEnd = queryEnds[index];
    for (let key = start; key < start + length; key += rowTile) {
      const count = Math.min(rowTile, start + length - key);
      tiles.push({ fields: [key, count, queryEnd, 0], work: queryEnd - key });
    }
  });
  return balanced(tiles);
}

/** End of the rows that attend to each segment's keys. */
function queryEndsOf(segments: readonly Segment[]): number[] {
  const ends: number[] = [];
  let trunk = 0;
  segments.forEach(({ start, length, prefix, own }, index) => {
    const end = start + length;
    if (own.start !== start || own.end !== start + 1) {
      throw layoutError(index, "its keys are not its own rows");
    }
    if (prefix && prefix.end > prefix.start) {
      const { start: first, length: count } = segments[trunk];
      if (index === 0 || prefix.start !== first || prefix.end !== first + count || start !== ends[trunk]) {
        throw layoutError(index, "it does not lie directly behind its prefix and the other branches");
      }
      ends[trunk] = end;
    } else {
      trunk = index;
    }
    ends.push(end);
  });
  return ends;
}

function layoutError(index: number, what: string): UserError {
  return new UserError({
    kind: "internal",
    what: `Cannot schedule the backward pass of attention: segment ${index} is out of place, ${what}`,
    where: "kernels/attention_schedule.ts",
    fix: "lay the batch out with packSegments",
  });
}

interface Tile {
  readonly fields: readonly number[];
  /** Keys or queries it passes over. */
  readonly work: number;
}

/**
 * The tiles in one array, ordered so that any run of neighbours has about its share of the work: the most, the least,
 * the second most … A software driver gives each of its threads such a run; in causal order the last one would have
 * twice its share.
 */
function balanced(tiles: readonly Tile[]): Uint32Array<ArrayBuffer> {
  const sorted = tiles.toSorted((a, b) => b.work - a.work);
  const order = sorted.map((_, index) => index % 2 === 0 ? index / 2 : sorted.length - (index + 1) / 2);
  return Uint32Array.from(order.flatMap((index) => sorted[index].fields));
}
