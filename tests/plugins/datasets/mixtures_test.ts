import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  builtins,
  choice,
  createRng,
  type Dataset,
  type DatasetRequest,
  type DatasetSpec,
  loadPrompts,
  mixtureOf,
  type MixtureSpec,
  oe,
  type Question,
  questionDataset,
  type Split,
} from "@credence/credence";
import { specs } from "../../../plugins/datasets/hub/mod.ts";
import { mixtures } from "../../../plugins/datasets/mixtures.ts";
import { all, withEnvironment, withFolder, writeFiles } from "../_folders.ts";

const dataset = (name: string, changes: Partial<DatasetSpec> = {}): DatasetSpec => ({
  name,
  description: name,
  home: "https://example.org",
  licence: "MIT",
  source: { repo: `acme/${name}` },
  splits: { train: "train", validation: "validation" },
  shots: "train",
  fields: { question: "q", choices: "choices", answer: { column: "answer", form: "index" } },
  wording: {},
  ...changes,
});

/** Five datasets of 3 to 40 rows a split, of which two have one split only and one must not be trained on. */
const FIVE = [
  dataset("beta"),
  dataset("alpha"),
  dataset("benchmark", { evalOnly: true }),
  dataset("delta", { splits: { train: "train" } }),
  dataset("gamma", { splits: { validation: "validation" }, shots: "validation" }),
];
const ROWS: Readonly<Record<string, number>> = { alpha: 40, beta: 3, gamma: 9, delta: 12, benchmark: 50 };

const lines = (name: string, split: string, count: number) =>
  Array.from({ length: count }, (_, row) => {
    const choices = ["w", "x", "y", "z"].map((letter) => `${letter} ${row}`);
    return `${JSON.stringify({ q: `${name} ${split} ${row}?`, choices, answer: row % 4 })}\n`;
  }).join("");

/** Lends a folder with all their rows. */
const withRows = (work: (request: DatasetRequest) => Promise<void>) => () =>
  withFolder(async (dataDir) => {
    for (const [name, count] of Object.entries(ROWS)) {
      await writeFiles(dataDir, {
        [`${name}/train.jsonl`]: lines(name, "train", count),
        [`${name}/validation.jsonl`]: lines(name, "validation", 2 * count),
      });
    }
    await work({ argument: "", options: {}, dataDir });
  });

const spec = (changes: Partial<MixtureSpec> = {}): MixtureSpec => ({
  name: "mix",
  description: "a mixture",
  members: "all",
  rows: 24,
  validation: 20,
  ...changes,
});

const read = async (mixture: Dataset, split: Split, request: DatasetRequest) =>
  await all(mixture.read!(split, request)) as Question[];

/** Rows by dataset. */
const counts = (questions: readonly Question[]) => {
  const found = Map.groupBy(questions, ({ home }) => home!.dataset);
  return Object.fromEntries([...found].map(([name, rows]) => [name, rows.length]));
};

Deno.test(
  "A uniform mixture takes the first rows of each dataset that has a training split, as many of each",
  withRows(async (request) => {
    const questions = await read(mixtureOf(spec({ uniform: true }), FIVE), "train", request);
    assertEquals(Object.entries(counts(questions)), [["alpha", 8], ["beta", 3], ["delta", 8]]);
    assertEquals(questions[0].question, "alpha train 0?");
    assertEquals(questions.map(({ split }) => split), questions.map(() => "train"));
    assertEquals(new Set(questions.map(({ id }) => id)).size, questions.length);
  }),
);

Deno.test(
  "A mixture in proportion takes of each dataset its share of all rows, and its complement the others",
  withRows(async (request) => {
    const taken = await read(mixtureOf(spec(), FIVE), "train", request);
    // 24 of 55 rows.
    assertEquals(counts(taken), { alpha: 17, beta: 1, delta: 5 });
    const left = await read(mixtureOf(spec({ complement: true }), FIVE), "train", request);
    assertEquals(counts(left), { alpha: 23, beta: 2, delta: 7 });
    assertEquals(new Set([...taken, ...left].map(({ id }) => id)).size, 55);
  }),
);

Deno.test(
  "A mixture takes all rows where there are no more than it asks for",
  withRows(async (request) => {
    const taken = await read(mixtureOf(spec({ rows: 1000 }), FIVE), "train", request);
    assertEquals(counts(taken), { alpha: 40, beta: 3, delta: 12 });
    assertEquals(await read(mixtureOf(spec({ rows: 1000, complement: true }), FIVE), "train", request), []);
  }),
);

Deno.test(
  "A mixture's validation split is drawn from all of them, without replacement, the same in every run",
  withRows(async (request) => {
    const mixture = mixtureOf(spec({ validation: 60 }), FIVE);
    const drawn = await read(mixture, "validation", request);
    assertEquals(new Set(drawn.map(({ id }) => id)).size, 60);
    // 80, 6 and 18 rows are there.
    const { alpha, beta, gamma } = counts(drawn);
    assert(alpha > 30 && beta > 0 && gamma > 4, `${alpha} ${beta} ${gamma}`);
    assertEquals(await read(mixture, "validation", request), drawn);
  }),
);

Deno.test(
  "A mixture of a half takes the datasets in the order of their names, and may train on validation rows",
  withRows(async (request) => {
    const of = async (changes: Partial<MixtureSpec>) =>
      Object.keys(counts(await read(mixtureOf(spec({ rows: 1000, ...changes }), FIVE), "train", request)));
    assertEquals(await of({ members: "first half" }), ["alpha", "beta"]);
    assertEquals(await of({ members: "second half" }), ["delta"]);
    assertEquals(await of({ members: "second half", from: "validation" }), ["gamma"]);
  }),
);

for (const style of [oe, choice]) {
  for (const kshot of [0, 2]) {
    Deno.test(
      `A mixture words a question as its own dataset does, with the same ${kshot} worked examples (${style.name})`,
      withRows(async (request) => {
        const run = { style, kshot, seed: 5, split: "validation" } as const;
        const mixed = await loadPrompts({ ...run, dataset: mixtureOf(spec(), FIVE), request });
        const own = new Map<string, unknown>();
        for (const member of FIVE.filter(({ splits }) => splits.validation)) {
          const dataset = questionDataset(member);
          for (const row of await loadPrompts({ ...run, dataset, request })) own.set(row.id, row);
        }
        assertEquals(mixed.length, 20);
        for (const row of mixed) assertEquals(row, own.get(row.id));
      }),
    );
  }
}

Deno.test(
  "Made-up answers are right or wrong choices, each with its label, drawn by the row in its own dataset",
  withRows(async (request) => {
    const run = { style: oe, kshot: 0, seed: 5, split: "train", request } as const;
    const rows = await loadPrompts({ ...run, dataset: mixtureOf(spec({ synthetic: true }), FIVE) });
    for (const { target, output, label, id } of rows) {
      assertEquals(output === target, label === 1, id);
      const row = Number(id.split("/").at(-1));
      assertEquals(label, createRng(5 + row).random() > 0.5 ? 1 : 0);
    }
    assertEquals(new Set(rows.map(({ label }) => label)).size, 2);
  }),
);

Deno.test("The mixture of the research code leaves hellaswag out of open-ended questions, in an order of its own", async () => {
  const eligible = specs.filter(({ evalOnly }) => !evalOnly).map(({ name }) => name).sort();
  assertEquals(eligible.length, 23);
  const uniform = mixtures.find(({ name }) => name === "all_20k_uniform")!;
  await withFolder(async (dataDir) => {
    for (const spec of specs) {
      const splits = new Set([...Object.values(spec.splits), spec.shots]);
      for (const split of splits) await writeFiles(dataDir, { [`${spec.name}/${split}.jsonl`]: "" });
    }
    for (
      const [promptStyle, names] of [
        ["choice", eligible],
        ["oe", eligible.filter((name) => name !== "hellaswag")],
      ] as const
    ) {
      const revision = await uniform.revision!({ argument: "", options: {}, dataDir, promptStyle });
      assertEquals([...revision.matchAll(/(\w+)\(/g)].map(([, name]) => name), names);
    }
  });
});

Deno.test("A dataset that is given out on request only is left out where it is not, and that is said", () =>
  withFolder(async (folder) => {
    const mixture = mixtureOf(spec(), [
      dataset("alpha"),
      { ...specs.find(({ name }) => name === "story_cloze")! },
    ]);
    await writeFiles(folder, {
      "alpha/train.jsonl": lines("alpha", "train", 3),
      "alpha/validation.jsonl": lines("alpha", "validation", 3),
    });
    const told: string[] = [];
    const request = { argument: "", options: {}, dataDir: folder, warn: (text: string) => told.push(text) };
    await withEnvironment({ HF_HOME: folder }, async () => {
      assertEquals(counts(await read(mixture, "validation", request)), { alpha: 3 });
      assertEquals(told.length, 1);
      assert(told[0].startsWith("story_cloze takes no part: "), told[0]);
      const without = await mixture.revision!(request);
      await writeFiles(folder, {
        "story_cloze/validation.jsonl": `${
          JSON.stringify({
            ...Object.fromEntries([1, 2, 3, 4].map((number) => [`input_sentence_${number}`, "It rains."])),
            sentence_quiz1: "It stops.",
            sentence_quiz2: "It snows.",
            answer_right_ending: 1,
          })
        }\n`,
      });
      assertEquals(counts(await read(mixture, "validation", request)), { alpha: 3, story_cloze: 1 });
      assertNotEquals(await mixture.revision!(request), without);
    });
  }));

Deno.test("Every mixture of the research code is there, and again of the datasets as it renders them", () => {
  const names = [
    "all_20k_uniform",
    "all_20k_uniform_h",
    "all_200k",
    "all_200k_c",
    "sub_200k",
    "cal_sub_200k",
    "sub_200k_c",
    "cal_sub_200k_c",
  ];
  const there = new Set(builtins.map(({ name }) => name));
  assertEquals(names.flatMap((name) => [name, `${name}@seed`]).filter((name) => !there.has(name)), []);
});
