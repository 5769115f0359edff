import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Dataset,
  loadPrompts,
  mmlu,
  mmluPro,
  type Question,
  type Split,
  type StoredRow,
  UserError,
  writeCsv,
} from "@credence/credence";
import { choice } from "../../../plugins/prompt_styles/choice.ts";
import { oe } from "../../../plugins/prompt_styles/oe.ts";
import { COMMON_MEND, questionDataset, seedDataset } from "../../../plugins/datasets/spec.ts";
import { specs } from "../../../plugins/datasets/hub/mod.ts";
import { withFolder, writeFiles } from "../_folders.ts";

/** What the research code rendered, seed 137: see tests/golden/README.md. */
interface Golden {
  readonly rows: Readonly<Record<string, readonly Record<string, unknown>[]>>;
  readonly expected: readonly Case[];
}

interface Case extends Texts {
  readonly style: string;
  readonly kshot: number;
  readonly split: Split;
  readonly index: number;
  /** With an answer and a label that nobody gave. */
  readonly with_query_label?: boolean;
  /** What was raised instead. */
  readonly error?: string;
}

interface Texts {
  readonly prompt: string;
  readonly context: string;
  readonly target_prompt: string;
  readonly target: string;
  readonly output?: string;
  readonly query_label?: number;
}

const readGolden = async (file: string): Promise<Golden> =>
  JSON.parse(await Deno.readTextFile(new URL(`../../golden/prompts/${file}.json`, import.meta.url)));

const textsOf = ({ prompt, context, targetPrompt, target, output, label }: StoredRow): Texts => ({
  prompt,
  context,
  target_prompt: targetPrompt,
  target,
  ...(output === undefined ? {} : { output, query_label: label! }),
});

const wanted = ({ prompt, context, target_prompt, target, output, query_label }: Case): Texts => ({
  prompt,
  context,
  target_prompt,
  target,
  ...(output === undefined ? {} : { output, query_label }),
});

interface Rendered {
  readonly expected: Case;
  /** `undefined` where the dataset has no such split or row, an error where it refuses the prompt style. */
  readonly got: Texts | UserError | undefined;
}

/** Every recorded case with what the dataset makes of it. */
async function renderAll(
  dataset: Dataset,
  { expected }: Golden,
  dataDir: string,
  argument = "",
): Promise<readonly Rendered[]> {
  const groups = Map.groupBy(
    expected,
    ({ style, kshot, split, with_query_label }) => `${style} ${kshot} ${split} ${with_query_label}`,
  );
  const results: Rendered[] = [];
  for (const group of groups.values()) {
    const { style: name, kshot, with_query_label: synthetic, error } = group[0];
    const split = error === undefined ? group[0].split : "train", style = name === "oe" ? oe : choice;
    const request = { argument, options: {}, dataDir, promptStyle: name };
    let loaded: readonly StoredRow[] | UserError = [];
    try {
      if (dataset.splits.includes(split)) {
        loaded = await loadPrompts({
          dataset: { ...dataset, synthetic },
          ...{ request, split, style, kshot, seed: 137 },
        });
      }
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      loaded = error;
    }
    for (const one of group) {
      const row = loaded instanceof UserError ? loaded : loaded[one.index];
      results.push({ expected: one, got: row instanceof UserError ? row : row && textsOf(row) });
    }
  }
  return results;
}

/** Rows as JSON Lines, where a dataset looks for them. */
async function writeRows(dataDir: string, name: string, { rows }: Golden): Promise<void> {
  for (const [split, list] of Object.entries(rows)) {
    const lines = list.map((row) => JSON.stringify(row) + "\n").join("");
    await writeFiles(dataDir, { [`${name}/${split}.jsonl`]: lines });
  }
}

/** Rows of a subject of MMLU, as its files have them. */
async function writeMmlu(dataDir: string, task: string, { rows }: Golden): Promise<void> {
  for (const [split, list] of Object.entries(rows)) {
    const flat = list.map(({ question, choices, answer }) => ({
      question: question as string,
      ...Object.fromEntries((choices as string[]).map((text, index) => [`choice${index}`, text])),
      answer: answer as number,
    }));
    const columns = ["question", "choice0", "choice1", "choice2", "choice3", "answer"];
    await writeCsv(`${dataDir}/${split}/${task}_${split}.csv`, columns, flat);
  }
}

/** A dataset for which something was recorded: by default, and as the research code has it. */
interface Subject {
  readonly file: string;
  readonly mended: Dataset;
  readonly seed: Dataset;
  readonly argument?: string;
  readonly mends: readonly string[];
  write(dataDir: string, golden: Golden): Promise<void>;
}

/** The research code is right about MMLU, so there is one form of it. */
const benchmark = (dataset: Dataset, argument: string, write: Subject["write"]): Subject => ({
  file: `${dataset.name}__${argument}`,
  mended: dataset,
  seed: dataset,
  argument,
  mends: [],
  write,
});

const SUBJECTS: readonly Subject[] = [
  ...specs.map((spec): Subject => ({
    file: spec.name,
    mended: questionDataset(spec),
    seed: seedDataset(spec),
    mends: [COMMON_MEND, ...spec.mends ?? []],
    write: (dataDir, golden) => writeRows(dataDir, spec.name, golden),
  })),
  ...["anatomy", "high_school_us_history"].map((task) =>
    benchmark(mmlu, task, (dataDir, golden) => writeMmlu(dataDir, task, golden))
  ),
  ...["computer_science", "law"].map((task) =>
    benchmark(mmluPro, task, (dataDir, golden) => writeRows(dataDir, "mmlu_pro", golden))
  ),
];

/** How to tell each mend from a mistake; `got` is what the mended form has in place of what was expected. */
const APPLIES: Readonly<Record<string, (expected: Case, got: Texts | undefined) => boolean>> = {
  [COMMON_MEND]: ({ prompt, context }, got) =>
    prompt.includes(context) && got?.prompt.includes(context) === false,
  "the test split, whose answers are withheld, is left out": ({ split }, got) =>
    split === "test" && got === undefined,
  "says whether the cause or the effect is asked for": (_, got) =>
    /What was the cause of this\?|What happened as a result\?/.test(got?.context ?? ""),
  "shows its text once instead of twice": ({ context }, got) =>
    got !== undefined && got.context.length < context.length,
  // Its rows are compared one by one below: which of them have equal options differs too.
  "splits its options at their letters, not at the comma of a number": () => true,
  "no empty line where there is no support": ({ context, prompt, kshot }, got) =>
    context === `\n${got?.context}` ||
    kshot > 0 && prompt.replaceAll("\n\n\nQuestion:", "\n\nQuestion:") === got?.prompt,
  "the instruction in front of a question stands apart from it": ({ prompt, kshot }, got) =>
    kshot === 0 && got?.prompt === `${prompt}\n\n`,
  "a blank line between worked examples and question": ({ prompt, kshot }, got) =>
    kshot > 0 && got?.prompt === `${prompt}\n\n`,
  "choices in random order, the same in every run: in the source the right one is always the first": (
    { style, with_query_label },
    got,
  ) => (style === "choice" || with_query_label === true) && got !== undefined,
};

let compared = 0, equal = 0;
const found = new Map<string, number>();

for (const { file, mended, seed, argument, mends, write } of SUBJECTS) {
  const name = argument === undefined ? seed.name : `${seed.name}:${argument}`;
  Deno.test(`${name} renders every prompt as the research code does, byte for byte`, () =>
    withFolder(async (dataDir) => {
      const golden = await readGolden(file);
      await write(dataDir, golden);
      for (const { expected, got } of await renderAll(seed, golden, dataDir, argument)) {
        const { style, kshot, split, index, error } = expected;
        if (error !== undefined) assert(got instanceof UserError, `${style} ${kshot} is not refused`);
        else assertEquals(got, wanted(expected), `${style} ${kshot} ${split} ${index}`);
        compared++;
      }
    }));

  Deno.test(`${name.replace("@seed", "")} differs from the research code only by what was mended`, () =>
    withFolder(async (dataDir) => {
      const golden = await readGolden(file);
      await write(dataDir, golden);
      for (const { expected, got } of await renderAll(mended, golden, dataDir, argument)) {
        const { style, kshot, split, index, error } = expected;
        if (error !== undefined && got instanceof UserError) equal++;
        else if (got !== undefined && JSON.stringify(got) === JSON.stringify(wanted(expected))) equal++;
        else {
          assert(!(got instanceof UserError), `${style} ${kshot} ${split} ${index}: ${got}`);
          const mend = mends.find((mend) => APPLIES[mend](expected, got));
          const both = `${JSON.stringify(got)}\n${JSON.stringify(expected)}`;
          assert(mend, `${style} ${kshot} ${split} ${index}:\n${both}`);
          found.set(mend, (found.get(mend) ?? 0) + 1);
        }
      }
    }));
}

Deno.test("All 2,736 recorded prompts were compared: 2,736 are equal as @seed, by default all but the mended", () => {
  assertEquals(compared, 2736);
  const mended = [...found.values()].reduce((sum, count) => sum + count, 0);
  assertEquals(equal + mended, 2736);
  assertEquals(equal, 2169);
});

Deno.test("Every mend of a dataset is seen in what was recorded, and stands in the documentation", async () => {
  const mends = new Set(SUBJECTS.flatMap(({ mends }) => mends));
  assertEquals([...mends].filter((mend) => !found.has(mend)), []);
  assertEquals(Object.keys(APPLIES).filter((mend) => !mends.has(mend)), []);
  const docs = await Deno.readTextFile(new URL("../../../docs/datasets.md", import.meta.url));
  for (const spec of specs) {
    const row = docs.split("\n").find((line) => line.startsWith("|") && line.includes(`\`${spec.name}\``));
    for (const mend of spec.mends ?? []) assertStringIncludes(row ?? "", mend, spec.name);
  }
  assertStringIncludes(docs, COMMON_MEND);
});

Deno.test("math_qa keeps all five options of a problem, also with a comma in a number", async () => {
  const { rows } = await readGolden("math_qa");
  const spec = specs.find(({ name }) => name === "math_qa")!;
  await withFolder(async (dataDir) => {
    await Deno.mkdir(`${dataDir}/math_qa`);
    const lines = rows.train.map((row) => JSON.stringify(row) + "\n").join("");
    await Deno.writeTextFile(`${dataDir}/math_qa/train.jsonl`, lines);
    let commas = 0;
    for await (const row of questionDataset(spec).read!("train", { argument: "", options: {}, dataDir })) {
      const { question, choices = [], answer } = row as Question;
      const { options, correct } = rows.train.find(({ Problem }) => Problem === question)! as Record<
        string,
        string
      >;
      assertEquals(choices.map((text, at) => `${"abcde"[at]} ) ${text}`).join(" , "), options);
      assertEquals("abcde"[answer as number], correct);
      if (/\d,\d/.test(options)) commas++;
    }
    assert(commas > 0, "no number with a comma");
  });
});
