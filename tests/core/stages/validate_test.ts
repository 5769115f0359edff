import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  choice,
  dataError,
  type Dataset,
  type Finding,
  loadPrompts,
  oe,
  type Question,
  type Split,
  type StoredRow,
  validateDataset,
} from "@credence/credence";

const question = (id: string, changes: Partial<Question> = {}): Question => ({
  id,
  split: "test",
  question: `Which ${id}?`,
  choices: ["x", "y", "z"],
  answer: 0,
  ...changes,
});

const dataset = (rows: readonly (Question | StoredRow)[], changes: Partial<Dataset> = {}): Dataset => ({
  kind: "dataset",
  name: "quiz",
  version: 1,
  description: "a quiz",
  defaults: {},
  tags: ["eval"],
  splits: ["train", "test"],
  async *read(split) {
    yield* await Promise.resolve(rows.filter((row) => row.split === split));
  },
  ...changes,
});

const REQUEST = { argument: "", options: {} };

async function findings(
  quiz: Dataset,
  splits: readonly Split[] = ["test"],
  style?: typeof oe,
): Promise<readonly Finding[]> {
  return (await validateDataset({ dataset: quiz, request: REQUEST, splits, style }))
    .flatMap(({ findings }) => findings);
}

/** What was found, and how often. */
const found = async (...args: Parameters<typeof findings>) =>
  Object.fromEntries((await findings(...args)).map(({ what, count }) => [what, count]));

Deno.test("validateDataset() finds nothing in sound rows, and counts them", async () => {
  const rows = [question("a"), question("b", { answer: "open", choices: undefined })];
  assertEquals(await validateDataset({ dataset: dataset(rows), request: REQUEST, splits: ["test"] }), [
    { split: "test", rows: 2, findings: [] },
  ]);
});

const CASES: Readonly<Record<string, readonly Question[]>> = {
  "an empty text": [question("a", { question: " " }), question("b", { choices: ["x", "", "z"] })],
  "an answer that names no choice": [question("a", { answer: 3 }), question("b", { answer: -1 })],
  "an id that stands twice": [question("a"), question("b"), question("a", { question: "Another?" })],
  "a wrong choice that is equal to the right one": [question("a", { choices: ["x", "x", "z"] })],
  "a question that stands twice, with different answers": [
    question("a"),
    question("b", { question: "Which a?", answer: 1 }),
  ],
};

for (const [what, rows] of Object.entries(CASES)) {
  Deno.test(`validateDataset() calls ${what} wrong`, async () => {
    const [finding, ...others] = await findings(dataset(rows));
    assertEquals([finding.what, finding.wrong, others], [what, true, []]);
  });
}

Deno.test("validateDataset() only notes rows that repeat others, and wrong choices that are equal", async () => {
  const rows = [
    question("a"),
    // In another order, but with the same right choice.
    question("b", { question: "Which a?", choices: ["z", "y", "x"], answer: 2 }),
    question("c", { choices: ["x", "y", "y"] }),
    question("d", { split: "train", question: "Which c?", choices: ["x", "y", "y"] }),
  ];
  const all = await findings(dataset(rows), ["test", "train"]);
  assertEquals(all.map(({ what, count, wrong }) => [what, count, wrong]), [
    ["a question that stands twice", 1, false],
    ["two wrong choices that are equal", 1, false],
    ["two wrong choices that are equal", 1, false],
    ["a question that stands in another split too", 1, false],
  ]);
  assertEquals(all[0].examples, ['a and b: "Which a?"']);
});

Deno.test("validateDataset() shows three examples and counts the others", async () => {
  const rows = Array.from({ length: 10 }, (_, index) => question(`${index}`, { question: "" }));
  const [{ count, examples }] = await findings(dataset(rows));
  assertEquals([count, examples], [10, ['0: ""', '1: ""', '2: ""']]);
});

Deno.test("validateDataset() finds a test question among the worked examples under another name", async () => {
  const pool = [question("p", { split: "train", question: "Which a?" }), question("q", { split: "train" })];
  const quiz = dataset([question("a"), question("b")], { shotPool: () => Promise.resolve(pool) });
  assertEquals(await found(quiz), { "a question that is among the worked examples": 1 });
  // It is not shown nevertheless.
  const [first] = await loadPrompts({
    ...{ dataset: quiz, request: REQUEST, split: "test", style: oe, kshot: 1, seed: 1 },
    limit: 1,
  });
  assertStringIncludes(first.prompt, "Which q?");
});

Deno.test("validateDataset() looks at all rows where worked examples cannot be read, and says so once", async () => {
  const shotPool = () => Promise.reject(dataError("There is no train split", "quiz", "add it"));
  const [one, ...others] = await findings(
    dataset([question("a"), question("b", { answer: 9 })], { shotPool }),
  );
  assertEquals([one.count, one.examples], [1, ["quiz: There is no train split (add it)"]]);
  assertEquals(others.map(({ what }) => what), ["an answer that names no choice"]);
});

Deno.test("validateDataset() finds what is no row, and goes on behind it", async () => {
  const rows = [null, { ...question("a"), question: undefined }, question("b"), question("b")];
  async function* read() {
    yield* await Promise.resolve(rows as Question[]);
  }
  const [unreadable, repeated] = await findings(dataset([], { read }));
  assertEquals([unreadable.what, unreadable.count], ["cannot be read", 2]);
  assertStringIncludes(unreadable.examples[1], "row 2 of the test split: ");
  assertEquals(repeated.what, "an id that stands twice");
});

Deno.test("validateDataset() finds questions that are shown to themselves", async () => {
  const rows = [question("a"), question("b")];
  const shotPool = () => Promise.resolve(rows);
  assertEquals(await found(dataset(rows, { shotPool })), {});
  assertEquals(await found(dataset(rows, { shotPool, ownShots: true })), {
    "a question that is among the worked examples": 2,
  });
});

Deno.test("validateDataset() goes on behind a row that cannot be read, and behind a file that is damaged", async () => {
  const quiz = dataset([], {
    async *read(split, { onUnreadable }) {
      onUnreadable!(dataError("The label is 7", "rows.csv, row 2", "correct it"));
      yield await Promise.resolve(question("a", { split }));
      throw dataError("The file is cut short", "rows.csv", "download it again");
    },
  });
  const expected = [
    "rows.csv, row 2: The label is 7 (correct it)",
    "rows.csv: The file is cut short (download it again)",
  ];
  for (
    const { rows, findings } of await validateDataset({
      dataset: quiz,
      request: REQUEST,
      splits: ["train", "test"],
    })
  ) {
    const [{ what, examples }] = findings;
    assertEquals([rows, what, examples], [1, "cannot be read", expected]);
  }
});

Deno.test("validateDataset() calls a split without rows wrong, and a row that belongs to another", async () => {
  assertEquals(await found(dataset([])), { "no rows": 1 });
  const quiz = dataset([], {
    async *read() {
      yield await Promise.resolve(question("a", { split: "train" }));
    },
  });
  assertEquals(await found(quiz), { "a row of another split": 1 });
});

Deno.test("validateDataset() words every question in a style, if one is named", async () => {
  const choices = Array.from({ length: 27 }, (_, index) => `${index}`);
  const rows = [question("a"), question("b", { choices })];
  assertEquals(await found(dataset(rows)), {});
  assertEquals(await found(dataset(rows), ["test"], oe), {});
  assertEquals(await found(dataset(rows), ["test"], choice), { "cannot be worded": 1 });
});

Deno.test("validateDataset() looks at rows of an earlier stage too, and wants no texts of stored scores", async () => {
  const row = (id: string, changes: Partial<StoredRow> = {}): StoredRow => ({
    ...{ id, split: "test", prompt: "", context: `Question: ${id}?`, targetPrompt: "\nAnswer:", target: "t" },
    ...changes,
  });
  assertEquals(
    await found(dataset([
      row("a"),
      row("b", { target: "" }),
      row("c", { context: "Question: a?" }),
      row("d", { context: "Question: a?", target: "u" }),
      row("e", { context: "", target: "", logits: [0, 1] }),
    ])),
    {
      "an empty text": 1,
      "a question that stands twice": 1,
      "a question that stands twice, with different answers": 1,
    },
  );
});
