import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { gzipSync } from "node:zlib";
import { createRng, readTable, tableFormat, type TableOptions, UserError } from "@credence/credence";
import { all, withFolder, writeFiles } from "../../_folders.ts";
import { FOLDER, NAMES, recorded, ROWS } from "./_golden.ts";

const path = (name: string) => new URL(name, FOLDER).pathname;

const read = (name: string, contents: string | Uint8Array, options?: TableOptions) =>
  withFolder(async (folder) => {
    await writeFiles(folder, { [name]: contents });
    return await all(readTable(`${folder}/${name}`, options));
  });

Deno.test("tableFormat() goes by the ending of a name, behind which it may be compressed", () => {
  const names = [
    "a.parquet",
    "a.b.JSONL",
    "a.ndjson.zst",
    "a.csv.gz",
    "a.tsv",
    "a.parquet.gz",
    "a.json",
    "csv",
    "",
  ];
  const formats = ["parquet", "jsonl", "jsonl", "csv", "tsv", undefined, undefined, undefined, undefined];
  assertEquals(names.map(tableFormat), formats);
});

for (const name of NAMES) {
  Deno.test(`readTable() reads the recorded table ${name}`, async () => {
    const rows = await all(readTable(path(`${name}.parquet`)));
    assertEquals(rows.map(({ values }) => values), ROWS);
    assertEquals(rows[41].where, `${path(`${name}.parquet`)}, row 42`);
  });
}

Deno.test("readTable() reads JSON Lines and CSV, compressed too, and as what it is told they are", async () => {
  const lines = ROWS.map((row) => JSON.stringify(row)).join("\n");
  const bytes = gzipSync(new TextEncoder().encode(lines));
  assertEquals((await read("a.jsonl.gz", bytes)).map(({ values }) => values), ROWS);
  assertEquals(await read("a.txt", "a,b\n1,2\n", { format: "csv", columns: ["b"], name: "it" }), [
    { values: { b: "2" }, where: "it, line 2" },
  ]);
});

for (
  const [what, name, contents, message] of [
    ["a format that is not known", "a.xlsx", "", "It is not known what the file is written in"],
    ["a column that is missing in Parquet", "zstd.parquet", undefined, 'Column "q" is missing'],
    ["a column that is missing in CSV", "a.csv", "a,b\n", 'Column "q" is missing'],
    ["text that is said to be Parquet", "a.parquet", "question,answer\n1,2\n", "Not a readable Parquet file"],
    ["Parquet that is said to be text", "zstd.csv", undefined, "It is not UTF-8 text"],
  ] as const
) {
  Deno.test(`readTable() refuses ${what}, naming the file`, async () => {
    const bytes = contents ?? await recorded("zstd");
    const error = await assertRejects(() => read(name, bytes, { columns: ["q"] }), UserError);
    assertEquals(error.kind, "data");
    assertStringIncludes(error.what, message);
    assertStringIncludes(error.where, name);
  });
}

Deno.test("readTable() says so where there is no file, or a folder", async () => {
  await withFolder(async (folder) => {
    for (const [name, what] of [["none.csv", "no such file"], ["folder.csv", "It is a folder"]]) {
      await Deno.mkdir(`${folder}/folder.csv`, { recursive: true });
      const error = await assertRejects(() => all(readTable(`${folder}/${name}`)), UserError);
      assertStringIncludes(error.what, what);
    }
  });
});

Deno.test("readTable() refuses a whole number that JavaScript cannot hold, naming the row", async () => {
  const error = await assertRejects(() => all(readTable(path("large_number.parquet"))), UserError);
  assertStringIncludes(error.what, "1152921504606846976 is too large");
  assertStringIncludes(error.where, "large_number.parquet, row 2");
});

Deno.test("readTable() refuses a small file that claims to hold millions of rows", async () => {
  const error = await assertRejects(() => all(readTable(path("many_rows.parquet"))), UserError);
  assertStringIncludes(error.what, "it has 1049576 rows in");
});

/** A file changed at random: bytes, bits, runs of bytes, and sometimes its end cut off. */
function change(bytes: Uint8Array, seed: number): Uint8Array {
  const rng = createRng(seed), changed = bytes.slice();
  const below = (limit: number) => rng.permutation(limit)[0];
  for (let count = 1 + below(4); count > 0; count--) {
    const place = below(changed.length);
    if (below(3) === 0) changed[place] = below(256);
    else if (below(2) === 0) changed[place] ^= 1 << below(8);
    else changed.fill(0xff, place, place + below(6));
  }
  return below(10) === 0 ? changed.subarray(0, below(changed.length)) : changed;
}

/** Reads changed forms of a file, of which each must give rows or be refused; how many were refused. */
async function refusedOf(name: string, bytes: Uint8Array, times: number): Promise<number> {
  let refused = 0;
  for (let seed = 0; seed < times; seed++) {
    try {
      await read(name, change(bytes, seed));
    } catch (error) {
      if (!(error instanceof UserError) || error.kind !== "data") throw error;
      refused++;
    }
  }
  return refused;
}

for (const name of NAMES) {
  Deno.test(`readTable() gives rows or says what is wrong, whatever happened to the table ${name}`, async () => {
    assertEquals(await refusedOf("a.parquet", await recorded(name), 30) > 0, true);
  });
}

const SOME = ROWS.slice(0, 20);
const TEXTS = {
  "a.jsonl": SOME.map((row) => JSON.stringify(row)).join("\n"),
  "a.csv": ["question,kind,choices"].concat(
    SOME.map(({ question, kind, choices }) =>
      [question, kind, JSON.stringify(choices)]
        .map((text) => `"${String(text).replaceAll('"', '""')}"`).join(",")
    ),
  ).join("\r\n"),
};

for (const [name, text] of Object.entries(TEXTS)) {
  Deno.test(`readTable() gives rows or says what is wrong, whatever happened to ${name}, plain or packed`, async () => {
    const bytes = new TextEncoder().encode(text);
    assertEquals(await refusedOf(name, bytes, 50) > 0, true);
    assertEquals(await refusedOf(`${name}.gz`, gzipSync(bytes), 50) > 0, true);
  });
}
