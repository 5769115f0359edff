import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { UserError } from "@credence/credence";
import { type CsvOptions, readCsvRows } from "../../../../plugins/datasets/tables/csv.ts";
import { all } from "../../_folders.ts";

/** A text in pieces of so many characters. */
async function* pieces(text: string, size: number): AsyncIterable<string> {
  for (let start = 0; start < text.length; start += size) yield text.slice(start, start + size);
}

const read = async (text: string, options: Partial<CsvOptions> = {}, size = 1 << 20) =>
  (await all(readCsvRows(pieces(text, size), { name: "a.csv", separator: ",", ...options }))).flat();

const refused = async (text: string, options: Partial<CsvOptions> = {}, size?: number) => {
  const { kind, what, where } = await assertRejects(() => read(text, options, size), UserError);
  return [kind, what, where];
};

const TEXT = 'q,"a ""b""",c\r\n"one\u2028two\u0085\v\f",2,\r\n\r\n"line 1\nline 2\r\n""",x,"y,z"\nlast,,ü';
const ROWS = [
  { values: { q: "one\u2028two\u0085\v\f", 'a "b"': "2", c: "" }, where: "a.csv, line 2" },
  { values: { q: 'line 1\nline 2\r\n"', 'a "b"': "x", c: "y,z" }, where: "a.csv, line 4" },
  { values: { q: "last", 'a "b"': "", c: "ü" }, where: "a.csv, line 7" },
];

Deno.test("readCsvRows() reads quotes, line ends of all kinds and separators in them, however the text is cut", async () => {
  for (const size of [1, 2, 3, 7, 20, 1000]) assertEquals(await read(TEXT, {}, size), ROWS);
});

Deno.test("readCsvRows() gives the wanted columns only, in a file with tabs too", async () => {
  assertEquals(await read("a\tb\tc\n1\t2,3\t4\n", { separator: "\t", columns: ["c", "b"] }), [
    { values: { c: "4", b: "2,3" }, where: "a.csv, line 2" },
  ]);
});

Deno.test("readCsvRows() takes no blank around the name of a column, and all there is in a field", async () => {
  assertEquals(await read("a, b\n1, 2\n", { columns: ["b"] }), [
    { values: { b: " 2" }, where: "a.csv, line 2" },
  ]);
});

Deno.test("readCsvRows() gives no rows for a file with a header only", async () => {
  assertEquals(await read("a,b\n"), []);
});

for (
  const [what, text, expected] of [
    ["an empty file", "", ["The file is empty", "a.csv"]],
    ["a file of empty lines", "\n\r\n", ["The file is empty", "a.csv"]],
    ["a short row", 'a,b\n"1\n1",2\n3\n', ["The row has 1 fields, the header 2", "a.csv, line 4"]],
    ["a long row", "a,b\n1,2\n3,4,5\n", ["The row has 3 fields, the header 2", "a.csv, line 3"]],
    ["two columns of one name", "a,a\n1,2\n", ['Two columns are called "a"', "a.csv, line 1"]],
    ["a quote that is never closed", 'a,b\n1,2\n3,"4\n5,6\n', [
      "A quote that is opened here is never closed",
      "a.csv, line 3",
    ]],
    ["a NUL character", "a,b\n1,\0\n", ["The file holds a NUL character", "a.csv"]],
  ] as const
) {
  Deno.test(`readCsvRows() refuses ${what}, naming the line`, async () => {
    for (const size of [1, 4, 1000]) assertEquals(await refused(text, {}, size), ["data", ...expected]);
  });
}

for (const row of ['1,2"3"', '1,"2"x', 'x"1",2']) {
  Deno.test(`readCsvRows() refuses a stray quote, as in ${row}, naming the line`, async () => {
    const [kind, what, where] = await refused(`a,b\n"1\n",2\n${row}\n5,6\n`);
    assertEquals([kind, where], ["data", "a.csv, line 4"]);
    assertMatch(what, /quote/);
  });
}

Deno.test("readCsvRows() names the columns there are where one is missing", async () => {
  const error = await assertRejects(() => read("a,b\n1,2\n", { columns: ["a", "q"] }), UserError);
  assertEquals([error.what, error.fix], ['Column "q" is missing', "the columns are a, b"]);
});

Deno.test("readCsvRows() refuses a row that goes on and on, before it has read all of it", async () => {
  let given = 0;
  const endless = async function* () {
    yield "a,b\n";
    for (;;) {
      given++;
      yield '"xxxxxxxx';
    }
  };
  const rows = readCsvRows(endless(), { name: "a.csv", separator: ",", longest: 1000 });
  const error = await assertRejects(() => all(rows), UserError);
  assertEquals(error.where, "a.csv, line 2");
  assertEquals(given < 200, true);
});
