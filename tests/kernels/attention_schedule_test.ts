import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  attentionKeyTiles,
  attentionTiles,
  packSegments,
  type Segment,
} from "../../kernels/attention_schedule.ts";
import { UserError } from "../../core/errors.ts";

/** Rows of `width` numbers, sorted, so that the order in which tiles are started does not matter. */
function rowsOf(tiles: Uint32Array, width: number): number[][] {
  const rows = Array.from(
    { length: tiles.length / width },
    (_, row) => [...tiles.subarray(row * width, (row + 1) * width)],
  );
  return rows.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

const sequence = (start: number, length: number): Segment => ({
  start,
  length,
  own: { start, end: start + 1 },
});

Deno.test("packSegments() lays each prefix in front of its branches and groups behind each other", () => {
  const prefix = { start: 0, end: 3 };
  assertEquals(packSegments([{ prefix: 3, branches: [2, 1] }, { prefix: 4, branches: [] }]), [
    sequence(0, 3),
    { ...sequence(3, 2), prefix },
    { ...sequence(5, 1), prefix },
    sequence(6, 4),
  ]);
});

Deno.test("packSegments() of no groups is empty", () => {
  assertEquals(packSegments([]), []);
});

for (
  const { length, group, counts, why } of [
    { length: 0, group: 1, counts: [], why: "no rows" },
    { length: 1, group: 1, counts: [1], why: "one row" },
    { length: 7, group: 1, counts: [7], why: "one item short of a tile" },
    { length: 8, group: 1, counts: [8], why: "a tile" },
    { length: 9, group: 1, counts: [8, 1], why: "one item past a tile" },
    { length: 3, group: 3, counts: [8, 1], why: "the heads of a row in two tiles" },
    { length: 2, group: 4, counts: [8], why: "two rows of four heads" },
  ]
) {
  Deno.test(`attentionTiles() cuts ${length} x ${group} items into tiles of [${counts}] (${why})`, () => {
    const tiles = rowsOf(attentionTiles([sequence(20, length)], { group }), 8);
    assertEquals(tiles, counts.map((count, index) => [20, 8 * index, count, 0, 0, 20, 21, 0]));
  });
}

Deno.test("attentionTiles() cuts tiles of rowTile items and never across segments", () => {
  const segments = [sequence(0, 5), sequence(5, 3)];
  assertEquals(
    rowsOf(attentionTiles(segments, { group: 1, rowTile: 4 }), 8).map((tile) => tile.slice(0, 3)),
    [
      [0, 0, 4],
      [0, 4, 1],
      [5, 0, 3],
    ],
  );
});

Deno.test("attentionTiles() names a segment's prefix and its own keys in a cache", () => {
  const segment = { start: 2, length: 1, prefix: { start: 64, end: 70 }, own: { start: 128, end: 140 } };
  assertEquals([...attentionTiles([segment], { group: 2 })], [2, 0, 2, 64, 70, 128, 140, 0]);
});

Deno.test("attentionTiles() gives each half of the tiles about half of the keys", () => {
  const tiles = attentionTiles([sequence(0, 512)], { group: 1 });
  // A tile's last row, `first_item + item_count - 1`, sees one key more than that.
  const keys = Array.from(
    { length: tiles.length / 8 },
    (_, tile) => tiles[8 * tile + 1] + tiles[8 * tile + 2],
  );
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const share = sum(keys.slice(0, keys.length / 2)) / sum(keys);
  assert(Math.abs(share - 0.5) < 0.02, `the first half has ${share} of the work`);
});

Deno.test("attentionKeyTiles() lets the keys of a sequence be seen up to its end", () => {
  assertEquals(rowsOf(attentionKeyTiles([sequence(0, 9), sequence(9, 1)]), 4), [
    [0, 8, 9, 0],
    [8, 1, 9, 0],
    [9, 1, 10, 0],
  ]);
});

Deno.test("attentionKeyTiles() lets the keys of a prefix be seen up to the end of its last branch", () => {
  const segments = packSegments([{ prefix: 3, branches: [2, 1] }, { prefix: 4, branches: [] }]);
  assertEquals(rowsOf(attentionKeyTiles(segments), 4), [
    [0, 3, 6, 0],
    [3, 2, 5, 0],
    [5, 1, 6, 0],
    [6, 4, 10, 0],
  ]);
});

Deno.test("attentionKeyTiles() keeps the branches of an empty prefix apart", () => {
  const segments = packSegments([{ prefix: 0, branches: [2, 3] }]);
  assertEquals(rowsOf(attentionKeyTiles(segments), 4), [[0, 2, 2, 0], [2, 3, 5, 0]]);
});

Deno.test("attentionKeyTiles() cuts tiles of rowTile keys", () => {
  const counts = rowsOf(attentionKeyTiles([sequence(0, 9)], { rowTile: 4 }), 4).map(([, count]) => count);
  assertEquals(counts, [4, 4, 1]);
});

Deno.test("attentionKeyTiles() of no segments is empty", () => {
  assertEquals(attentionKeyTiles([]).length, 0);
});

for (
  const { segments, index, why } of [
    {
      segments: [{ start: 0, length: 1, own: { start: 64, end: 70 } }],
      index: 0,
      why: "its keys lie in a cache",
    },
    {
      segments: [sequence(0, 3), sequence(3, 2), { ...sequence(5, 2), prefix: { start: 0, end: 3 } }],
      index: 2,
      why: "a sequence lies between the prefix and the branch",
    },
    {
      segments: [{ ...sequence(3, 2), prefix: { start: 0, end: 3 } }],
      index: 0,
      why: "there is no prefix before the branch",
    },
    {
      segments: [sequence(0, 3), { ...sequence(3, 2), prefix: { start: 0, end: 2 } }],
      index: 1,
      why: "the prefix is part of a sequence",
    },
    {
      segments: [sequence(0, 3), { ...sequence(4, 2), prefix: { start: 0, end: 3 } }],
      index: 1,
      why: "a row lies between prefix and branch",
    },
  ]
) {
  Deno.test(`attentionKeyTiles() refuses segment ${index} because ${why}`, () => {
    const error = assertThrows(
      () => attentionKeyTiles(segments),
      UserError,
      `segment ${index} is out of place`,
    );
    assertEquals(error.kind, "internal");
  });
}
