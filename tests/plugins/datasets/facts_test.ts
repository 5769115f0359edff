import { assert, assertEquals } from "@std/assert";
import {
  choice,
  type DatasetRequest,
  facts,
  loadPrompts,
  oe,
  type Question,
  SPLITS,
} from "@credence/credence";
import { testDataset } from "@credence/credence/testing";
import { all } from "../_folders.ts";

const request: DatasetRequest = { argument: "", options: {} };

const questions = Object.fromEntries(
  await Promise.all(
    SPLITS.map(async (split) => [split, await all(facts.read!(split, request)) as Question[]] as const),
  ),
);

testDataset(facts, {
  rows: Object.fromEntries(SPLITS.map((split) => [split, questions[split].length])),
});

for (const [split, least] of [["train", 2000], ["validation", 500], ["test", 1000]] as const) {
  Deno.test(`facts has at least ${least} ${split} questions`, () => {
    assert(questions[split].length >= least, `it has ${questions[split].length}`);
  });
}

/** The town that a question is about: its last word. */
const subjectOf = ({ question }: Question): string => question.replace(/\?$/, "").split(" ").at(-1)!;

for (const [one, other] of [["train", "validation"], ["train", "test"], ["validation", "test"]] as const) {
  Deno.test(`facts asks about other subjects in ${one} than in ${other}`, () => {
    const subjects = new Set(questions[one].map(subjectOf));
    assertEquals(questions[other].filter((question) => subjects.has(subjectOf(question))), []);
  });
}

for (const split of SPLITS) {
  Deno.test(`facts lists the right answer of each ${split} question once, and no choice twice`, () => {
    for (const { id, choices, answer } of questions[split]) {
      assertEquals(new Set(choices).size, choices!.length, `${id} lists a choice twice`);
      const right = typeof answer === "number" ? choices![answer] : answer;
      assertEquals(choices!.filter((text) => text === right).length, 1, `${id} lists "${right}" not once`);
    }
  });

  Deno.test(`facts spreads the right answers of the ${split} split evenly over the letters, within 5 %`, () => {
    const counts = new Map<string, number>();
    for (const question of questions[split]) {
      const { target } = choice.render(question, [], {});
      counts.set(target, (counts.get(target) ?? 0) + 1);
    }
    const letters = Math.max(...questions[split].map(({ choices }) => choices!.length));
    assertEquals(counts.size, letters);
    for (const [letter, count] of counts) {
      const share = count / questions[split].length;
      assert(Math.abs(share - 1 / letters) <= 0.05, `${letter} is right in ${(100 * share).toFixed(1)} %`);
    }
  });
}

for (const style of [oe, choice]) {
  Deno.test(`facts can be worded by ${style.name}, with and without worked examples`, async () => {
    for (const kshot of [0, 2]) {
      const [prompt] = await loadPrompts({
        dataset: facts,
        request,
        split: "test",
        style,
        kshot,
        seed: 137,
        limit: 1,
      });
      assert(prompt.context.includes(questions.test[0].question));
      assert(prompt.target.length > 0);
      assertEquals(prompt.prompt === "", kshot === 0);
    }
  });
}
