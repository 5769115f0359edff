import { assertEquals, assertThrows } from "@std/assert";
import {
  checkSize,
  checkValues,
  type Leaf,
  levelsOf,
  levelsOf2,
} from "../../../../plugins/datasets/tables/contents.ts";

const leaf: Leaf = { path: ["n"], type: "INT32", typeLength: 0, maxDefinition: 1, maxRepetition: 1 };

// Two rows of two and one values, the last of which is null; each level in a run of packed ones.
const REPEATS = [3, 0b010], DEFINED = [3, 0b011];

Deno.test("levelsOf() counts rows and what is not null, and says where values begin", () => {
  const bytes = Uint8Array.of(2, 0, 0, 0, ...REPEATS, 2, 0, 0, 0, ...DEFINED, 99);
  assertEquals(levelsOf(bytes, leaf, 3), { present: 2, rows: 2, continues: false, offset: 12 });
});

Deno.test("levelsOf() sees that a page goes on with a row of the page before", () => {
  const bytes = Uint8Array.of(2, 0, 0, 0, 3, 0b011, 2, 0, 0, 0, ...DEFINED);
  assertEquals(levelsOf(bytes, leaf, 3), { present: 2, rows: 1, continues: true, offset: 12 });
});

const second = { repetition: 2, definition: 2, nulls: 1, rows: 2, isPacked: false };

Deno.test("levelsOf2() holds what it counts against the header", () => {
  const bytes = Uint8Array.of(...REPEATS, ...DEFINED, 99);
  assertEquals(levelsOf2(bytes, leaf, 3, second), { present: 2, rows: 2, continues: false, offset: 4 });
  assertThrows(() => levelsOf2(bytes, leaf, 3, { ...second, nulls: 0 }), Error, "a page has 1 nulls");
  assertThrows(() => levelsOf2(bytes, leaf, 3, { ...second, rows: 3 }), Error, "a page has other rows");
});

Deno.test("checkSize() refuses more values than fit into a page, by their type", () => {
  checkSize({ ...leaf, type: "BOOLEAN" }, 16, 2);
  checkSize({ ...leaf, type: "FIXED_LEN_BYTE_ARRAY", typeLength: 3 }, 4, 12);
  for (
    const [type, count, bytes] of [
      ["BOOLEAN", 17, 2],
      ["DOUBLE", 2, 15],
      ["BYTE_ARRAY", 4, 15],
      ["FIXED_LEN_BYTE_ARRAY", 1, 100],
    ] as const
  ) {
    assertThrows(() => checkSize({ ...leaf, type }, count, bytes), Error, `${count} values of type ${type}`);
  }
});

for (
  const [what, type, encoding, bytes] of [
    ["truth values in a dictionary", "BOOLEAN", 8, [1, 3, 1]],
    ["numbers in runs", "INT32", 3, [0, 0, 0, 0, 3, 1]],
    ["texts as differences", "BYTE_ARRAY", 5, [8, 1, 1, 0]],
    ["numbers as texts", "INT32", 6, [8, 1, 1, 0]],
    ["an encoding without a name", "INT32", 1, [0, 0, 0, 0]],
  ] as const
) {
  Deno.test(`checkValues() refuses ${what}`, () => {
    const cursor = { bytes: Uint8Array.from(bytes), offset: 0, end: bytes.length };
    const work = () => checkValues(cursor, { ...leaf, type }, encoding, 1, 2, false);
    assertThrows(work, Error, "which is not read");
  });
}

Deno.test("checkValues() refuses texts of negative length", () => {
  // One length of -1.
  const bytes = Uint8Array.of(8, 1, 1, 1), cursor = { bytes, offset: 0, end: bytes.length };
  const work = () => checkValues(cursor, { ...leaf, type: "BYTE_ARRAY" }, 6, 1, undefined, false);
  assertThrows(work, Error, "a text of -1 bytes");
});
