import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { mmluPro, type Question, UserError } from "@credence/credence";
import { all, withFolder, writeFiles } from "../_folders.ts";

const row = (category: string, answer: number) => ({
  question: `About ${category}?`,
  options: Array.from({ length: 10 }, (_, index) => `option ${index}`),
  answer_index: answer,
  category,
});

const lines = (rows: readonly unknown[]) => rows.map((item) => `${JSON.stringify(item)}\n`).join("");

Deno.test("mmlu_pro gives the questions of one subject, in its own group, with up to ten choices", async () => {
  await withFolder(async (dataDir) => {
    const rows = [row("law", 9), row("computer science", 3), row("law", 0)];
    await writeFiles(dataDir, { "mmlu_pro/test.jsonl": lines(rows) });
    const request = { argument: "law", options: {}, dataDir };
    const questions = await all(mmluPro.read!("test", request)) as Question[];
    assertEquals(questions.map(({ answer, group }) => [answer, group]), [[9, "law"], [0, "law"]]);
    const other = await all(
      mmluPro.read!("test", { ...request, argument: "computer_science" }),
    ) as Question[];
    assertEquals(other.map(({ answer }) => answer), [3]);
  });
});

Deno.test("mmlu_pro draws worked examples of the subject from the validation split", async () => {
  await withFolder(async (dataDir) => {
    await writeFiles(dataDir, { "mmlu_pro/validation.jsonl": lines([row("law", 1), row("math", 2)]) });
    const pool = await mmluPro.shotPool!({ argument: "math", options: {}, dataDir });
    assertEquals(pool.map(({ answer }) => answer), [2]);
  });
});

Deno.test("mmlu_pro refuses a subject it does not have, naming the nearest", async () => {
  const request = { argument: "laww", options: {} };
  const error = await assertRejects(() => all(mmluPro.read!("test", request)), UserError);
  assertEquals(error.kind, "usage");
  assertStringIncludes(error.fix, "law");
});
