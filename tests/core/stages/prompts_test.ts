import { assert, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import type { Question, Split, StoredRow } from "../../../core/records.ts";
import { createRng } from "../../../core/rng.ts";
import { loadPrompts, type PromptRun } from "../../../core/stages/prompts.ts";
import type { Dataset, PromptStyle } from "../../../core/types.ts";
import { frozen, generation, question } from "../_samples.ts";

/** A style whose prompt is the names of the worked examples. */
const style: PromptStyle = {
  kind: "prompt-style",
  name: "names",
  version: 1,
  description: "Names of the worked examples and of the question",
  defaults: {},
  maxNewTokens: 1,
  render: ({ id, split }, shots) => ({
    id,
    split,
    prompt: shots.map(({ id }) => id).join(","),
    context: id,
    targetPrompt: ":",
    target: "t",
  }),
  cleanUp: (output) => output,
};

function dataset(rows: readonly (Question | StoredRow)[], shots?: readonly Question[]): Dataset {
  return {
    kind: "dataset",
    name: "sample",
    version: 1,
    description: "Given rows",
    defaults: {},
    tags: ["eval"],
    splits: ["train", "test"],
    async *read() {
      yield* await Promise.resolve(frozen(rows));
    },
    ...(shots === undefined ? {} : { shotPool: () => Promise.resolve(frozen(shots)) }),
  };
}

const load = (data: Dataset, run: Partial<PromptRun> = {}) =>
  loadPrompts({
    dataset: data,
    request: { argument: "part", options: {} },
    split: "test",
    style,
    kshot: 0,
    seed: 137,
    ...run,
  });

const named = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => question(`${prefix}${index}`));

/** Names of the worked examples of each row. */
const shotsOf = (rows: readonly StoredRow[]) =>
  rows.map(({ prompt }) => prompt === "" ? [] : prompt.split(","));

Deno.test("loadPrompts() renders the rows of the split, in the dataset's order", async () => {
  const asked: [Split, string][] = [];
  const data: Dataset = {
    ...dataset([]),
    async *read(split, { argument }) {
      asked.push([split, argument]);
      yield* await Promise.resolve(named("q", 3));
    },
  };
  assertEquals((await load(data)).map(({ context }) => context), ["q0", "q1", "q2"]);
  assertEquals(asked, [["test", "part"]]);
});

Deno.test("loadPrompts() gives no worked examples when none are asked for, and leaves the pool unread", async () => {
  const data: Dataset = {
    ...dataset(named("q", 2)),
    shotPool: () => Promise.reject(new Error("read in vain")),
  };
  assertEquals(shotsOf(await load(data)), [[], []]);
});

Deno.test("loadPrompts() draws worked examples as the research code does: row i with seed + i", async () => {
  const pool = named("s", 10);
  const rows = await load(dataset(named("q", 4), pool), { kshot: 3 });
  assertEquals(
    shotsOf(rows),
    rows.map((_, index) => createRng(137 + index).permutation(10).slice(0, 3).map((at) => `s${at}`)),
  );
});

Deno.test("loadPrompts() draws the same for a row whatever the limit, and other examples with another seed", async () => {
  const data = dataset(named("q", 6), named("s", 10));
  const all = shotsOf(await load(data, { kshot: 3 }));
  assertEquals(shotsOf(await load(data, { kshot: 3, limit: 2 })), all.slice(0, 2));
  assert(JSON.stringify(shotsOf(await load(data, { kshot: 3, seed: 1000 }))) !== JSON.stringify(all));
});

Deno.test("loadPrompts() never shows a question among its own worked examples", async () => {
  const rows = named("q", 30);
  const prompts = await load(dataset(rows, rows), { kshot: 20 });
  prompts.forEach(({ id, prompt }) => {
    const shots = prompt.split(",");
    assertEquals([shots.includes(id), new Set(shots).size], [false, 20]);
  });
});

Deno.test("loadPrompts() reads the pool once", async () => {
  let reads = 0;
  const data: Dataset = {
    ...dataset(named("q", 3)),
    shotPool: () => {
      reads++;
      return Promise.resolve(named("s", 2));
    },
  };
  await load(data, { kshot: 2 });
  assertEquals(reads, 1);
});

Deno.test("loadPrompts() takes as many worked examples as there are, and refuses one more", async () => {
  const data = dataset(named("q", 1), named("s", 2));
  assertEquals(shotsOf(await load(data, { kshot: 2 }))[0].toSorted(), ["s0", "s1"]);
  const error = await assertRejects(() => load(data, { kshot: 3 }), UserError);
  assertEquals([error.kind, error.where, error.fix], [
    "usage",
    "--kshot, or --eval-kshot",
    "ask for at most 2",
  ]);
  assertEquals(error.what, 'Dataset "sample" has 2 worked examples, 3 were asked for');
});

Deno.test("loadPrompts() refuses worked examples from a dataset that has no pool", async () => {
  await assertRejects(
    () => load(dataset(named("q", 1)), { kshot: 1 }),
    UserError,
    "has 0 worked examples, 1 were asked for",
  );
});

Deno.test("loadPrompts() leaves rows that are prompts already as they are, and says so where worked examples are asked for", async () => {
  const stored = ["a", "b"].map((id) => ({ ...generation(id, { prompt: "Its own." }), label: 1 as const }));
  const told: string[] = [],
    request = { argument: "part", options: {}, warn: (text: string) => told.push(text) };
  for (const kshot of [0, 5]) {
    assertEquals(await load(dataset(stored), { kshot, request }), stored);
  }
  assertEquals(told, ["The questions of sample are worded already: no worked examples are added."]);
});

for (const [limit, count] of [[1, 1], [3, 3], [4, 3], [undefined, 3]] as const) {
  Deno.test(`loadPrompts() with limit ${limit} gives ${count} of 3 rows`, async () => {
    assertEquals((await load(dataset(named("q", 3)), { limit })).length, count);
  });
}

Deno.test("loadPrompts() refuses a split that the dataset lacks, with those it has", async () => {
  const error = await assertRejects(() => load(dataset(named("q", 3)), { split: "validation" }), UserError);
  assertEquals([error.kind, error.what], ["usage", 'Dataset "sample" has no validation split']);
  assertEquals(error.fix, "use one of its splits: train, test");
});

Deno.test("loadPrompts() refuses a split without rows", async () => {
  const error = await assertRejects(() => load(dataset([])), UserError);
  assertEquals([error.kind, error.what], ["data", "The test split has no rows"]);
  assertEquals(error.where, "dataset sample:part");
});

/** A style whose context is the choices, and whose target is the right one. */
const choicesStyle: PromptStyle = {
  ...style,
  render: ({ id, split, choices = [], answer }, shots) => ({
    id,
    split,
    prompt: shots.map(({ choices = [], answer }) => `${choices.join("")}=${choices[answer as number]}`).join(
      ",",
    ),
    context: choices.join(""),
    targetPrompt: ":",
    target: choices[answer as number],
  }),
};

const withChoices = (prefix: string, count: number) =>
  named(prefix, count).map((one) => ({ ...one, choices: ["a", "b", "c", "d"], answer: 2 }));

Deno.test("loadPrompts() shuffles choices with the right one, each question by its own id, and those of worked examples", async () => {
  const data = dataset(withChoices("q", 12), withChoices("s", 4));
  const run = { style: choicesStyle, kshot: 1, shuffleChoices: 5 };
  const rows = await load(data, run);
  assertEquals(rows.map(({ target }) => target), rows.map(() => "c"));
  for (const { context, prompt } of rows) {
    assertEquals([...context].sort().join(""), "abcd");
    assertEquals([...prompt.slice(0, 4)].sort().join("") + prompt.slice(4), "abcd=c");
  }
  assert(new Set(rows.map(({ context }) => context)).size > 4, "all in one order");
  assertEquals(await load(data, run), rows);
  // Whatever stands beside it: the last questions alone are ordered as among the others.
  const last = await load(dataset(withChoices("q", 12).slice(9)), { ...run, kshot: 0 });
  assertEquals(last.map(({ context }) => context), rows.slice(9).map(({ context }) => context));
  const other = await load(data, { ...run, shuffleChoices: 6 });
  assert(other.some(({ context }, index) => context !== rows[index].context));
});

Deno.test("loadPrompts() leaves choices as they come, and questions without any, unless told to shuffle", async () => {
  const [row] = await load(dataset(withChoices("q", 1)), { style: choicesStyle });
  assertEquals(row.context, "abcd");
  assertEquals((await load(dataset(named("q", 1)), { shuffleChoices: 5 })).length, 1);
});

Deno.test("loadPrompts() refuses to shuffle the choices of rows that are worded already", async () => {
  const data = dataset([{ ...generation("a"), split: "test" }]);
  const error = await assertRejects(() => load(data, { shuffleChoices: 5 }), UserError);
  assertEquals([error.kind, error.where], ["usage", "--shuffle-choices"]);
});

Deno.test("loadPrompts() refuses ids that stand twice: answers could not be told apart", async () => {
  const rows = [question("a"), question("b"), question("a", { question: "Another?" })];
  const { kind, what, where } = await assertRejects(() => load(dataset(rows)), UserError);
  assertEquals([kind, what, where], [
    "data",
    'Two rows of the test split have the id "a"',
    "dataset sample:part",
  ]);
});

Deno.test.each([
  { row: null, what: "a row without an id: null" },
  { row: { ...question("b"), id: 2 }, what: "a row without an id" },
  { row: question("b", { split: "train" }), what: "a row of the train split" },
  { row: { ...question("b"), question: undefined }, what: "a row without a question" },
  { row: { ...question("b"), answer: undefined }, what: "a row without an answer" },
  { row: { ...question("b"), choices: ["x", 2] }, what: "choices that are no list of texts" },
])("loadPrompts() refuses of a dataset $what", async ({ row, what }) => {
  const rows = [question("a"), row as Question];
  const error = await assertRejects(() => load(dataset(rows)), UserError, `Dataset "sample" gave ${what}`);
  assertEquals([error.kind, error.where.includes("test split")], ["plugin", true]);
});

Deno.test.each([
  { change: { targetPrompt: undefined }, what: "a prompt without targetPrompt" },
  { change: { id: "b" }, what: "the prompt of another question" },
  { change: { split: "train" }, what: "the prompt of another question" },
])("loadPrompts() refuses of a prompt style $what, as with $change", async ({ change, what }) => {
  const render: PromptStyle["render"] = (...args) => ({ ...style.render(...args), ...change } as StoredRow);
  const error = await assertRejects(
    () => load(dataset([question("a")]), { style: { ...style, render } }),
    UserError,
    `Prompt style "names" gave ${what}`,
  );
  assertEquals([error.kind, error.where], ["plugin", "render() of question a"]);
});
