import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "@credence/credence";
import { readJsonLines } from "../../../../plugins/datasets/tables/json_lines.ts";
import { all } from "../../_folders.ts";

async function* pieces(text: string, size: number): AsyncIterable<string> {
  for (let start = 0; start < text.length; start += size) yield text.slice(start, start + size);
}

const read = async (text: string, size = 1000, longest?: number) =>
  (await all(readJsonLines(pieces(text, size), "a.jsonl", longest))).flat();

Deno.test("readJsonLines() reads a row a line, however the text is cut", async () => {
  const text = '{"a":"x\u2028\u0085y","b":[1,{"c":null}]}\r\n\n  \n{"a":2}';
  for (const size of [1, 3, 1000]) {
    assertEquals(await read(text, size), [
      { values: { a: "x\u2028\u0085y", b: [1, { c: null }] }, where: "a.jsonl, line 1" },
      { values: { a: 2 }, where: "a.jsonl, line 4" },
    ]);
  }
});

for (
  const [what, line, message] of [
    ["that is no JSON", "{", "Not a line of JSON"],
    ["that is a list", "[1]", "The line is not a JSON object"],
    ["that is a number", "1", "The line is not a JSON object"],
    ["that is nothing", "null", "The line is not a JSON object"],
    ["of a million open brackets", "[".repeat(1_000_000), "Not a line of JSON"],
  ] as const
) {
  Deno.test(`readJsonLines() refuses a line ${what}, naming it`, async () => {
    const error = await assertRejects(() => read(`{}\n\n${line}\n{}\n`), UserError);
    assertEquals([error.kind, error.what, error.where], ["data", message, "a.jsonl, line 3"]);
  });
}

Deno.test("readJsonLines() refuses a line that is too long, before it has read all of it", async () => {
  const error = await assertRejects(() => read(`{}\n{"a":"${"x".repeat(5000)}"}\n`, 100, 1000), UserError);
  assertEquals([error.what, error.where], ["The line has more than 1000 characters", "a.jsonl, line 2"]);
});
