import { assertEquals, assertRejects } from "@std/assert";
import { type BatchSize, openParquet } from "../../../../plugins/datasets/tables/parquet.ts";
import { NAMES, recorded, ROWS } from "./_golden.ts";

const sourceOf = (bytes: Uint8Array) => ({
  byteLength: bytes.length,
  read: (start: number, end: number) => Promise.resolve(bytes.slice(start, end)),
});

/** Numbers of 64 bits as numbers, and what is missing as null. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, item) => typeof item === "bigint" ? Number(item) : item ?? null));

async function readAll(bytes: Uint8Array, columns?: readonly string[], batch?: BatchSize) {
  const file = await openParquet(sourceOf(bytes), batch);
  const batches: Record<string, unknown>[][] = [];
  for await (const rows of file.read(columns ?? file.columns)) batches.push(rows);
  return { file, batches, rows: plain(batches.flat()) };
}

for (const name of NAMES) {
  Deno.test(`openParquet() reads the recorded table ${name}, at once and a few rows at a time`, async () => {
    const bytes = await recorded(name);
    const { file, rows } = await readAll(bytes);
    assertEquals(file.rows, ROWS.length);
    assertEquals(rows, ROWS);
    const few = await readAll(bytes, undefined, { rows: 7, bytes: 1 << 20 });
    assertEquals(few.rows, ROWS);
    assertEquals(few.batches.every(({ length }) => length <= 7), true);
  });
}

Deno.test("openParquet() reads nothing of columns that are not wanted", async () => {
  const bytes = await recorded("pages");
  const source = sourceOf(bytes);
  let read = 0;
  const counting = {
    ...source,
    read(start: number, end: number) {
      read += end - start;
      return source.read(start, end);
    },
  };
  const file = await openParquet(counting);
  read = 0;
  for await (const rows of file.read(["sure"])) assertEquals(Object.keys(rows[0]), ["sure"]);
  assertEquals(read > 0 && read < bytes.length / 2, true, `${read} of ${bytes.length}`);
});

Deno.test("openParquet() refuses a page whose checksum differs", async () => {
  const bytes = await recorded("checksums");
  // The first column's first page begins behind its header of some thirty bytes.
  bytes[100] ^= 1;
  const error = await assertRejects(() => readAll(bytes), Error);
  assertEquals(error.message, "column question: a page is damaged: its checksum differs");
});

for (
  const [what, change, message] of [
    ["is empty", () => new Uint8Array(), "it has 0 bytes"],
    ["is no Parquet", () => new TextEncoder().encode("question,answer\n1,2\n"), "does not begin with PAR1"],
    ["was cut", (bytes: Uint8Array) => bytes.slice(0, -1000), "does not end with PAR1"],
    ["says that its footer is longer than it", (bytes: Uint8Array) => {
      new DataView(bytes.buffer).setUint32(bytes.length - 8, 2 ** 31, true);
      return bytes;
    }, "its footer has 2147483648 bytes"],
    [
      "has a footer of other bytes",
      (bytes: Uint8Array) => bytes.fill(0xff, bytes.length - 200, bytes.length - 8),
      "",
    ],
  ] as const
) {
  Deno.test(`openParquet() refuses a file that ${what}`, async () => {
    await assertRejects(async () => readAll(change(await recorded("snappy"))), Error, message);
  });
}
