import { assertEquals, assertRejects } from "@std/assert";
import { readCsv, writeCsv } from "../../core/csv.ts";
import { UserError } from "../../core/errors.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";

/** Rows of a file with this text. */
const read = (text: string | Uint8Array, required: readonly string[] = []) =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "a.csv": text });
    return await readCsv(`${folder}/a.csv`, required);
  });

/** What is wrong with a file of this text; the folder is left out of the place. */
const refused = (text: string, required: readonly string[] = []) =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "a.csv": text });
    const error = await assertRejects(() => readCsv(`${folder}/a.csv`, required), UserError);
    return { kind: error.kind, what: error.what, where: error.where.replace(`${folder}/`, "") };
  });

Deno.test("readCsv() gives rows by column name, whatever the columns' order", async () => {
  assertEquals(await read("b,a\n1,2\n3,4\n", ["a"]), [{ b: "1", a: "2" }, { b: "3", a: "4" }]);
});

for (
  const [what, text] of [
    ["Windows line ends", "a,b\r\n1,2\r\n3,4\r\n"],
    ["no line end behind the last row", "a,b\n1,2\n3,4"],
    ["a byte order mark", "\ufeffa,b\n1,2\n3,4\n"],
    ["empty lines", "a,b\n\n1,2\n3,4\n\n"],
    ["line ends of both kinds", "a,b\r\n1,2\n3,4\r\n"],
    ["quotes around every field", '"a","b"\n"1","2"\n"3","4"\n'],
  ]
) {
  Deno.test(`readCsv() reads a file with ${what}`, async () => {
    assertEquals(await read(text), [{ a: "1", b: "2" }, { a: "3", b: "4" }]);
  });
}

Deno.test("readCsv() gives no rows for a file with a header only", async () => {
  assertEquals(await read("a,b\n"), []);
});

Deno.test("readCsv() keeps blanks and empty fields", async () => {
  assertEquals(await read("a,b\n x ,\n"), [{ a: " x ", b: "" }]);
});

for (const text of ["", "\n", "\ufeff"]) {
  Deno.test(`readCsv() refuses a file that holds only ${JSON.stringify(text)}`, async () => {
    assertEquals(await refused(text), { kind: "data", what: "The file is empty", where: "a.csv" });
  });
}

Deno.test("readCsv() names a missing column and those that are there", async () => {
  assertEquals(await refused("a,b\n1,2\n", ["a", "target"]), {
    kind: "data",
    what: 'Column "target" is missing; there are "a", "b"',
    where: "a.csv",
  });
});

for (const [what, row, fields] of [["short", "3", 1], ["long", "3,4,5", 3]] as const) {
  Deno.test(`readCsv() names a row that is too ${what}`, async () => {
    assertEquals(await refused(`a,b\n1,2\n${row}\n`), {
      kind: "data",
      what: `Row 2 has ${fields} fields, the header 2`,
      where: "a.csv, row 2",
    });
  });
}

for (const text of ['a,b\n1,2"3\n', 'a,b\n1,"2\n3,4\n', 'a,b\n1,"2"x\n']) {
  Deno.test(`readCsv() refuses a stray quote, as in ${JSON.stringify(text)}`, async () => {
    const { kind, what, where } = await refused(text);
    assertEquals([kind, what.slice(0, 15), where], ["data", "Not valid CSV: ", "a.csv"]);
  });
}

Deno.test("readCsv() names the line of a NUL character", async () => {
  assertEquals(await refused("a,b\n1,2\n3,\0\n"), {
    kind: "data",
    what: "The file holds a NUL character",
    where: "a.csv:3",
  });
});

Deno.test("readCsv() refuses a file that is not UTF-8", async () => {
  await assertRejects(() => read(Uint8Array.of(0x61, 0x0a, 0xff, 0x0a)), UserError, "not UTF-8");
});

for (
  const [what, field] of [
    ["a comma", "a,b"],
    ["quotes", 'say "hi"'],
    ["a quote alone", '"'],
    ["a lone line feed", "first\nsecond"],
    ["a lone carriage return", "first\rsecond"],
    ["a Windows line end", "first\r\nsecond"],
    ["line feeds at both ends", "\nmiddle\n"],
    ["Unicode line separators", "a\u2028b\u2029c\u0085d"],
    ["blanks at both ends", "  x\t"],
    ["a byte order mark", "\ufeffx"],
    ["what spreadsheets take for a formula", "=1+1"],
    ["characters beyond the basic plane", "🧀 naïve 東京"],
    ["nothing", ""],
  ]
) {
  Deno.test(`readCsv() gives back a field with ${what}, first or last in its row`, () =>
    withFolder(async (folder) => {
      const rows = [{ a: field, b: "x" }, { a: "x", b: field }];
      await writeCsv(`${folder}/a.csv`, ["a", "b"], rows);
      assertEquals(await readCsv(`${folder}/a.csv`, ["a", "b"]), rows);
    }));
}

Deno.test("writeCsv() writes the header first, lines that end in CRLF, and only the columns asked for", () =>
  withFolder(async (folder) => {
    const rows = [{ b: 0.1, a: "x", c: "left out" }];
    await writeCsv(`${folder}/a.csv`, ["a", "b"], rows);
    assertEquals(await Deno.readTextFile(`${folder}/a.csv`), "a,b\r\nx,0.1\r\n");
  }));

Deno.test("writeCsv() writes nothing that readCsv() refuses: another character in the place of NUL", () =>
  withFolder(async (folder) => {
    await writeCsv(`${folder}/a.csv`, ["a"], [{ a: "x\0y\0" }]);
    assertEquals(await readCsv(`${folder}/a.csv`, ["a"]), [{ a: "x\ufffdy\ufffd" }]);
  }));

Deno.test("writeCsv() of no rows writes a header that readCsv() reads", () =>
  withFolder(async (folder) => {
    await writeCsv(`${folder}/a.csv`, ["a", "b"], []);
    assertEquals(await readCsv(`${folder}/a.csv`, ["a", "b"]), []);
  }));
