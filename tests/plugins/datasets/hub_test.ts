import { assert, assertEquals } from "@std/assert";
import {
  createRng,
  type Dataset,
  loadPrompts,
  type Prompt,
  type Question,
  type Split,
} from "@credence/credence";
import { choice } from "../../../plugins/prompt_styles/choice.ts";
import { oe } from "../../../plugins/prompt_styles/oe.ts";
import { questionDataset, seedDataset } from "../../../plugins/datasets/spec.ts";
import { specs } from "../../../plugins/datasets/hub/mod.ts";
import { mmluPro } from "../../../plugins/datasets/mmlu_pro.ts";
import { withFolder } from "../_folders.ts";

/** What the research code rendered, seed 137: see tests/golden/README.md. */
interface Golden {
  readonly rows: Readonly<Record<string, readonly Record<string, unknown>[]>>;
  readonly expected: readonly (Texts & {
    readonly style: string;
    readonly kshot: number;
    readonly split: Split;
    readonly index: number;
    readonly with_query_label?: boolean;
    readonly error?: string;
  })[];
}

interface Texts {
  readonly prompt: string;
  readonly context: string;
  readonly target_prompt: string;
  readonly target: string;
}

type Case = Golden["expected"][number];

const readGolden = async (file: string): Promise<Golden> =>
  JSON.parse(await Deno.readTextFile(new URL(`../../golden/prompts/${file}.json`, import.meta.url)));

const texts = ({ prompt, context, targetPrompt, target }: Prompt): Texts => ({
  prompt,
  context,
  target_prompt: targetPrompt,
  target,
});

/** Every recorded case with what the dataset renders for it; `undefined` where it has no such split or row. */
async function renderAll(
  dataset: Dataset,
  folder: string,
  { rows, expected }: Golden,
  argument = "",
): Promise<{ expected: Case; got: Texts | undefined }[]> {
  return await withFolder(async (dataDir) => {
    await Deno.mkdir(`${dataDir}/${folder}`);
    for (const [split, list] of Object.entries(rows)) {
      const lines = list.map((row) => JSON.stringify(row) + "\n").join("");
      await Deno.writeTextFile(`${dataDir}/${folder}/${split}.jsonl`, lines);
    }
    const request = { argument, options: {}, dataDir };
    const cases = expected.filter((one) => !one.error && !one.with_query_label);
    const results: { expected: Case; got: Texts | undefined }[] = [];
    const groups = Map.groupBy(cases, ({ style, kshot, split }) => `${style} ${kshot} ${split}`);
    for (const group of groups.values()) {
      const { style: name, kshot, split } = group[0];
      const style = name === "oe" ? oe : choice;
      const loaded = dataset.splits.includes(split)
        ? await loadPrompts({ dataset, request, split, style, kshot, seed: 137 })
        : [];
      for (const one of group) {
        const row = loaded[one.index];
        results.push({ expected: one, got: row && texts(row) });
      }
    }
    return results;
  });
}

const wanted = ({ prompt, context, target_prompt, target }: Case): Texts => ({
  prompt,
  context,
  target_prompt,
  target,
});

let compared = 0;

for (const spec of specs) {
  Deno.test(`${spec.name}@seed renders every prompt as the research code does, byte for byte`, async () => {
    const results = await renderAll(seedDataset(spec), spec.name, await readGolden(spec.name));
    for (const { expected, got } of results) {
      assertEquals(
        got,
        wanted(expected),
        `${expected.style} ${expected.kshot} ${expected.split} ${expected.index}`,
      );
    }
    assert(results.length >= 12, `only ${results.length} cases`);
    compared += results.length;
  });
}

for (const task of ["computer_science", "law"]) {
  Deno.test(`mmlu_pro:${task} renders every prompt as the research code does, byte for byte`, async () => {
    const results = await renderAll(mmluPro, "mmlu_pro", await readGolden(`mmlu_pro__${task}`), task);
    for (const { expected, got } of results) assertEquals(got, wanted(expected));
    assert(results.length >= 12, `only ${results.length} cases`);
    compared += results.length;
  });
}

Deno.test("gsm8k has no multiple choice, as in the research code", async () => {
  const { expected } = await readGolden("gsm8k");
  assertEquals(new Set(expected.filter(({ error }) => error).map(({ style }) => style)), new Set(["choice"]));
});

/** A difference from the research code that is meant, and how to tell it. */
interface Mend {
  readonly name: string;
  /** Datasets it is made in; all if absent. */
  readonly datasets?: readonly string[];
  applies(expected: Case, got: Texts | undefined): boolean;
}

const MENDS: readonly Mend[] = [
  {
    name: "a question never stands among its own worked examples",
    applies: ({ prompt, context }, got) =>
      prompt.includes(context) && got?.prompt.includes(context) === false,
  },
  {
    name: "rows without an answer are left out",
    datasets: ["commonsense_qa"],
    applies: ({ split }, got) => split === "test" && got === undefined,
  },
  {
    name: "copa says whether the cause or the effect is asked for",
    datasets: ["copa"],
    applies: (_, got) => /What was the cause of this\?|What happened as a result\?/.test(got?.context ?? ""),
  },
  {
    name: "hellaswag shows its text once",
    datasets: ["hellaswag"],
    applies: ({ context }, got) => got !== undefined && got.context.length < context.length,
  },
  {
    // Its rows are compared one by one below: which of them have equal options differs too.
    name: "math_qa splits its options at the letters, not at the comma of a number",
    datasets: ["math_qa"],
    applies: () => true,
  },
  {
    name: "sciq begins without an empty line where there is no support",
    datasets: ["sciq"],
    applies: ({ context, prompt, kshot }, got) =>
      context === `\n${got?.context}` ||
      kshot > 0 && prompt.replaceAll("\n\n\nQuestion:", "\n\nQuestion:") === got?.prompt,
  },
  {
    name: "the instruction in front of a question stands apart from it",
    datasets: ["piqa", "sciq", "siqa"],
    applies: ({ prompt, kshot }, got) => kshot === 0 && got?.prompt === `${prompt}\n\n`,
  },
  {
    name: "trec leaves a blank line between worked examples and question",
    datasets: ["trec"],
    applies: ({ prompt, kshot }, got) => kshot > 0 && got?.prompt === `${prompt}\n\n`,
  },
  {
    name: "the right answer of truthful_qa is not always the first",
    datasets: ["truthful_qa"],
    applies: ({ style }, got) => style === "choice" && got !== undefined,
  },
];

const found = new Set<string>();

for (const spec of specs) {
  Deno.test(`${spec.name} differs from the research code only by what was mended`, async () => {
    for (
      const { expected, got } of await renderAll(
        questionDataset(spec),
        spec.name,
        await readGolden(spec.name),
      )
    ) {
      if (JSON.stringify(got) === JSON.stringify(wanted(expected))) continue;
      const mend = MENDS.find(({ datasets, applies }) =>
        (!datasets || datasets.includes(spec.name)) && applies(expected, got)
      );
      const { style, kshot, split, index } = expected;
      assert(
        mend,
        `${style} ${kshot} ${split} ${index}:\n${JSON.stringify(got)}\n${JSON.stringify(expected)}`,
      );
      found.add(mend.name);
    }
  });
}

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

Deno.test("Every mend of a dataset is seen in what was recorded", () => {
  assertEquals(MENDS.map(({ name }) => name).filter((name) => !found.has(name)), []);
});

Deno.test("The prompts of all datasets were compared", () => {
  assert(compared > 1500, `${compared} cases`);
});

Deno.test("A synthetic label and its wrong answer are drawn as the research code draws them", async () => {
  let wrong = 0;
  for (const spec of specs) {
    const { expected } = await readGolden(spec.name);
    const labelled = expected.filter(({ with_query_label: label }) => label) as unknown as readonly {
      readonly index: number;
      readonly style: string;
      readonly context: string;
      readonly target: string;
      readonly output: string;
      readonly query_label: number;
    }[];
    for (const { index, style, context, target, output, query_label: label } of labelled) {
      // Both draws begin anew from the row's seed.
      assertEquals(createRng(137 + index).random() > 0.5 ? 1 : 0, label, spec.name);
      if (style !== "choice") continue;
      const count = context.match(/^ {2}\([a-z]\): /gm)!.length, right = target.charCodeAt(0) - 97;
      const others = [...Array(count).keys()].filter((number) => number !== right);
      const answer = label === 1 ? right : others[createRng(137 + index).pick(others.length)];
      assertEquals(output, String.fromCharCode(97 + answer), `${spec.name} ${index}`);
      wrong += 1 - label;
    }
  }
  assert(wrong > 100, `${wrong} wrong answers`);
});
