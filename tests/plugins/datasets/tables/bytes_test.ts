import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { UserError } from "@credence/credence";
import { openFile, readTextPieces } from "../../../../plugins/datasets/tables/bytes.ts";
import { all, withFolder, writeFiles } from "../../_folders.ts";

const withFile = <T>(contents: string | Uint8Array, work: (path: string) => Promise<T>) =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "a.txt": contents });
    return await work(`${folder}/a.txt`);
  });

const textOf = (contents: string | Uint8Array) =>
  withFile(contents, async (path) => (await all(readTextPieces(path))).join(""));

Deno.test("openFile() reads bytes anywhere in a file, few and many", async () => {
  const bytes = Uint8Array.from({ length: 3_000_000 }, (_, index) => index % 251);
  await withFile(bytes, async (path) => {
    using file = await openFile(path);
    assertEquals(file.byteLength, bytes.length);
    for (
      const [start, end] of [[0, 4], [2, 9], [2_999_990, 3_000_000], [1_048_570, 1_048_590], [5, 2_000_000], [
        7,
        7,
      ]]
    ) {
      assertEquals(await file.read(start, end), bytes.slice(start, end));
    }
  });
});

Deno.test("openFile() refuses a folder", async () => {
  await withFolder(async (folder) => {
    const { kind, what, where } = await assertRejects(() => openFile(folder), UserError);
    assertEquals([kind, what, where], ["data", "It is a folder", folder]);
  });
});

const TEXT = `Überraschung 🎉\n${"0123456789".repeat(300_000)}`;

Deno.test("readTextPieces() gives the text of a file that is plain or compressed, characters whole", async () => {
  const bytes = new TextEncoder().encode(TEXT);
  const halves = [bytes.subarray(0, 5), bytes.subarray(5)];
  assertEquals(await textOf(TEXT), TEXT);
  assertEquals(await textOf(gzipSync(bytes)), TEXT);
  assertEquals(await textOf(zstdCompressSync(bytes)), TEXT);
  // As `cat a.gz b.gz` makes it.
  for (const pack of [gzipSync, zstdCompressSync]) {
    assertEquals(await textOf(new Uint8Array(halves.flatMap((half) => [...pack(half)]))), TEXT);
  }
});

Deno.test("readTextPieces() leaves a byte order mark out", async () => {
  assertEquals(await textOf("\ufeffa"), "a");
  assertEquals(await textOf(""), "");
});

for (
  const [what, contents, reason] of [
    ["that is not UTF-8", Uint8Array.of(97, 0xff, 0xfe), "not UTF-8"],
    ["that ends within a character", Uint8Array.of(97, 0xf0, 0x9f), "not UTF-8"],
    ["whose gzip was cut", gzipSync(new TextEncoder().encode(TEXT)).subarray(0, -20), "gzip"],
    ["whose gzip is damaged", gzipSync(new TextEncoder().encode(TEXT)).fill(7, 20, 40), "gzip"],
    ["whose zstd was cut", zstdCompressSync(new TextEncoder().encode(TEXT)).subarray(0, -20), "zstd"],
    ["whose zstd is damaged", zstdCompressSync(new TextEncoder().encode(TEXT)).fill(7, 5, 40), "zstd"],
  ] as const
) {
  Deno.test(`readTextPieces() refuses a file ${what}`, async () => {
    const error = await assertRejects(() => textOf(contents), UserError);
    assertStringIncludes(error.what, reason);
    assertStringIncludes(error.where, "a.txt");
  });
}

Deno.test("readTextPieces() closes the file when the reader stops early", async () => {
  for (const pack of [gzipSync, zstdCompressSync]) {
    await withFile(pack(new TextEncoder().encode(TEXT)), async (path) => {
      for await (const piece of readTextPieces(path)) {
        assertEquals(piece.startsWith("Ü"), true);
        break;
      }
    });
  }
});
