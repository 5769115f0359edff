import { assertEquals, assertRejects } from "@std/assert";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Leaf, MOST_BYTES, MOST_VALUES } from "../../../../plugins/datasets/tables/contents.ts";
import { concat, findPages, unpackPage } from "../../../../plugins/datasets/tables/pages.ts";
import { writeStruct, type Written } from "../../../../plugins/datasets/tables/thrift.ts";

const leaf: Leaf = { path: ["n"], type: "INT32", typeLength: 0, maxDefinition: 0, maxRepetition: 0 };
const texts: Leaf = { ...leaf, type: "BYTE_ARRAY" };

/** A page of the first form. */
const header = (values: number, packed: number, unpacked = packed, encoding = 0): Written => ({
  1: 0,
  2: unpacked,
  3: packed,
  5: { 1: values, 2: encoding, 3: 3, 4: 3 },
});

const sourceOf = (bytes: Uint8Array) => ({
  byteLength: bytes.length,
  read: (start: number, end: number) => Promise.resolve(bytes.slice(start, end)),
});

/** Finds and unpacks a page with this header and content; `entries` are those of a dictionary. */
async function pageOf(
  written: Written,
  content: Uint8Array | readonly number[],
  { column = leaf, codec = "UNCOMPRESSED", values = 2, entries }: {
    readonly column?: Leaf;
    readonly codec?: string;
    readonly values?: number;
    readonly entries?: number;
  } = {},
) {
  const bytes = concat([writeStruct(written), Uint8Array.from(content)]);
  const source = sourceOf(bytes);
  const { pages } = await findPages(source, column, { start: 0, end: bytes.length, values });
  return await unpackPage(source, column, codec, pages[0], entries);
}

Deno.test("findPages() finds pages one behind the other, a dictionary in front, and leaves others out", async () => {
  const dictionary = writeStruct({ 1: 2, 2: 4, 3: 4, 7: { 1: 1, 2: 0 } });
  const index = writeStruct({ 1: 1, 2: 3, 3: 3 }), data = writeStruct(header(2, 8));
  const bytes = concat([dictionary, new Uint8Array(4), index, new Uint8Array(3), data, new Uint8Array(8)]);
  const chunk = await findPages(sourceOf(bytes), leaf, { start: 0, end: bytes.length, values: 2 });
  assertEquals(chunk.dictionary?.values, 1);
  assertEquals(chunk.pages.map(({ start, values }) => [start, values]), [[bytes.length - 8, 2]]);
});

Deno.test("unpackPage() puts what it unpacks behind a header that says so", async () => {
  const content = new Uint8Array(Int32Array.of(5, 6).buffer), packed = gzipSync(content);
  const { bytes, rows, continues } = await pageOf(header(2, packed.length, 8), packed, { codec: "GZIP" });
  assertEquals(bytes, concat([writeStruct(header(2, 8)), content]));
  assertEquals([rows, continues], [2, false]);
});

Deno.test("unpackPage() reads a page of nulls alone, as every codec packs nothing", async () => {
  const nullable = { ...leaf, maxDefinition: 1 }, levels = [4, 0], nothing = new Uint8Array();
  const packed = {
    SNAPPY: [0],
    LZ4_RAW: [0],
    GZIP: gzipSync(nothing),
    ZSTD: zstdCompressSync(nothing),
    BROTLI: [6],
  };
  for (const [codec, bytes] of Object.entries(packed)) {
    const second = { 1: 2, 2: 2, 3: 2, 4: 0, 5: levels.length, 6: 0, 7: true };
    const header = { 1: 3, 2: levels.length, 3: levels.length + bytes.length, 8: second };
    const { rows } = await pageOf(header, [...levels, ...bytes], { column: nullable, codec });
    assertEquals(rows, 2, codec);
  }
});

const bomb = gzipSync(new Uint8Array(1 << 20));
const REFUSED: Readonly<Record<string, readonly [() => Promise<unknown>, string]>> = {
  "a size that is missing": [
    () => pageOf({ 1: 0, 2: 8, 5: { 1: 2, 2: 0, 3: 3, 4: 3 } }, []),
    "undefined for the size",
  ],
  "a page longer than its column": [() => pageOf(header(2, 100), [1]), "a page of 100 bytes is longer"],
  "more bytes than a page may have": [
    () => pageOf(header(2, 8, MOST_BYTES + 1), []),
    "for the unpacked size",
  ],
  "more values than a page may have": [
    () => pageOf(header(MOST_VALUES + 1, 8), []),
    "for the number of values",
  ],
  "fewer values than the footer says": [
    () => pageOf(header(1, 4), [1, 2, 3, 4]),
    "hold 1 values, and should hold 2",
  ],
  "more values than the footer says": [() => pageOf(header(3, 12), new Uint8Array(12)), "hold 3 values"],
  "values that do not fit into the page": [
    () => pageOf(header(2, 4), [1, 2, 3, 4]),
    "2 values of type INT32 stand in 4",
  ],
  "a page that unpacks to more than it says": [
    () => pageOf(header(2, bomb.length, 8), bomb, { codec: "GZIP" }),
    "larger than 8",
  ],
  "a page that unpacks to less than it says": [
    () => pageOf(header(2, bomb.length, 1 << 21), bomb, { codec: "GZIP" }),
    "a page of 1048576 bytes should have 2097152",
  ],
  "a compression that is not read": [() => pageOf(header(2, 8), new Uint8Array(8), { codec: "LZO" }), "LZO"],
  "an encoding that is not read": [() => pageOf(header(2, 8, 8, 4), new Uint8Array(8)), "encoding 4"],
  "entries of a dictionary that is missing": [
    () => pageOf(header(2, 8, 8, 8), new Uint8Array(8)),
    "there is none",
  ],
  "entries behind the end of a dictionary": [
    () => pageOf(header(2, 3, 3, 8), [3, 4, 5], { entries: 5 }),
    "entry 5 of a dictionary with 5",
  ],
  "a run longer than its page": [
    () => pageOf(header(2, 6, 6, 8), [3, 0xfe, 0xff, 0xff, 0xff, 7], { entries: 5 }),
    "a run of",
  ],
  "levels longer than their page": [
    () => pageOf(header(2, 4), [255, 255, 255, 0], { column: { ...leaf, maxDefinition: 1 } }),
    "levels are longer",
  ],
  "texts that share more than there is": [
    () =>
      pageOf(header(2, 16, 16, 7), [8, 1, 2, 0, 200, 1, 0, 8, 1, 2, 2, 0, 0, 65, 66, 0], { column: texts }),
    "a text shares more than there is",
  ],
};

for (const [what, [work, message]] of Object.entries(REFUSED)) {
  Deno.test(`A page is refused for ${what}`, async () => {
    await assertRejects(work, Error, message);
  });
}
