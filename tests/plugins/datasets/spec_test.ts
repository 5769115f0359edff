import { assertEquals, assertRejects } from "@std/assert";
import { type DatasetSpec, type Question, questionDataset, UserError } from "@credence/credence";
import { all, withFolder, writeFiles } from "../_folders.ts";

const spec = (changes: Partial<DatasetSpec> = {}): DatasetSpec => ({
  name: "quiz",
  description: "a quiz",
  home: "https://example.org",
  licence: "MIT",
  source: { repo: "acme/quiz" },
  splits: { train: "train" },
  shots: "train",
  fields: { question: "q", choices: "options.text", answer: { column: "key", form: "letter" } },
  wording: {},
  ...changes,
});

/** Questions of a dataset whose training rows are these. */
async function read(rows: readonly unknown[], changes: Partial<DatasetSpec> = {}): Promise<Question[]> {
  return await withFolder(async (dataDir) => {
    await writeFiles(dataDir, { "quiz/train.jsonl": rows.map((row) => `${JSON.stringify(row)}\n`).join("") });
    const dataset = questionDataset(spec(changes));
    return await all(dataset.read!("train", { argument: "", options: {}, dataDir })) as Question[];
  });
}

const row = (key: unknown, text: unknown = ["x", "y"]) => ({ q: "Which?", options: { text }, key });

for (
  const [form, values] of Object.entries({
    index: [0, 1, "0", "1"],
    number: [1, 2, "1", "2"],
    letter: ["A", "B", "a", "b"],
    boolean: [false, true, false, true],
    "one-hot": [[1, 0], [0, 1], [1, 0], [0, 1]],
  })
) {
  Deno.test(`questionDataset() reads an answer of the form ${form}`, async () => {
    const fields = { question: "q", choices: "options.text", answer: { column: "key", form } };
    const questions = await read(values.map((value) => row(value)), { fields } as Partial<DatasetSpec>);
    assertEquals(questions.map(({ answer }) => answer), [0, 1, 0, 1]);
  });
}

Deno.test("questionDataset() reads a letter that is a digit as a number from 1", async () => {
  assertEquals((await read([row("1"), row("2")])).map(({ answer }) => answer), [0, 1]);
});

Deno.test("questionDataset() numbers rows as the source does, also behind rows it leaves out", async () => {
  const questions = await read([row("A"), row("B", ["x", "x"]), row("B")], { distinctChoices: true });
  assertEquals(questions.map(({ id }) => id), ["quiz/train/0", "quiz/train/2"]);
});

Deno.test("questionDataset() keeps only rows with the wanted values", async () => {
  const rows = [{ ...row("A"), level: 1 }, { ...row("B"), level: 2 }, { ...row("B"), level: 3 }];
  const questions = await read(rows, { keep: { column: "level", values: [1, 3] } });
  assertEquals(questions.map(({ answer }) => answer), [0, 1]);
});

Deno.test("questionDataset() permutes choices, the right one with them, the same way every time", async () => {
  const rows = Array.from({ length: 20 }, () => row("A", ["right", "b", "c", "d"]));
  const questions = await read(rows, { shuffled: true });
  for (const { choices, answer } of questions) assertEquals(choices![answer as number], "right");
  assertEquals(new Set(questions.map(({ answer }) => answer)).size, 4);
  assertEquals(await read(rows, { shuffled: true }), questions);
});

const REFUSED: Readonly<Record<string, readonly [unknown, string]>> = {
  "a column that is missing": [{ q: "Which?", key: "A" }, 'Column "options.text" is missing'],
  "a column of the wrong type": [row("A", "x, y"), 'Column "options.text" is "x, y"'],
  "a choice that is no text": [row("A", ["x", 1]), 'Column "options.text" is ["x",1]'],
  "a question that is no text": [{ ...row("A"), q: null }, 'Column "q" is null'],
  "a label behind the last choice": [row("C"), 'Column "key" is "C"'],
  "a label that is no letter": [row("?"), 'Column "key" is "?"'],
  "a label that is missing": [row(null), 'Column "key" is null'],
};

for (const [why, [bad, what]] of Object.entries(REFUSED)) {
  Deno.test(`questionDataset() refuses ${why}, naming file and line`, async () => {
    const error = await assertRejects(() => read([row("A"), bad]), UserError);
    assertEquals([error.kind, error.what], ["data", what]);
    assertEquals(error.where.endsWith("train.jsonl, line 2"), true, error.where);
  });
}

Deno.test("questionDataset() refuses a prompt style for which a dataset has no answers", async () => {
  const dataset = questionDataset(spec({ styles: ["oe"] }));
  const request = { argument: "", options: {}, promptStyle: "choice" };
  const error = await assertRejects(() => all(dataset.read!("train", request)), UserError);
  assertEquals([error.kind, error.fix], ["data", "use --prompt-style=oe"]);
});
