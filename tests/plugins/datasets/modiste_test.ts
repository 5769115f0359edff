import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { modisteMmlu, type StoredRow, UserError } from "@credence/credence";
import { modisteMmluAll } from "../../../plugins/datasets/modiste.ts";
import { all, withFolder, writeFiles } from "../_folders.ts";

const ROW = { prompt: "Which?\nAnswer:", label: "B", llm_answer: "A", example_idx: 3, orig_example_idx: 17 };

const read = (contents: unknown, argument = "us_foreign_policy") =>
  withFolder(async (dataDir) => {
    await writeFiles(dataDir, { "modiste/mmlu_responses_w_conf.json": JSON.stringify(contents) });
    return await all(modisteMmlu.read!("test", { argument, options: {}, dataDir })) as StoredRow[];
  });

Deno.test("modiste_mmlu reads answers of the user study, by whose numbers its rows are known", async () => {
  assertEquals(await read({ us_foreign_policy: [{ ...ROW, conf: 0.5 }] }), [{
    id: "us_foreign_policy/3/17",
    split: "test",
    group: "us_foreign_policy",
    prompt: "",
    context: "Which?\nAnswer:",
    targetPrompt: "",
    target: "B",
    output: "A",
  }]);
});

Deno.test("modiste_mmlu refuses a subject that was not asked about, a file without it, and a row that lacks a field", async () => {
  assertEquals((await assertRejects(() => read({}, "anatomy"), UserError)).kind, "usage");
  const missing = await assertRejects(() => read({}), UserError);
  assertEquals([missing.kind, missing.what], ["data", 'There is no list called "us_foreign_policy"']);
  const bad = await assertRejects(() => read({ us_foreign_policy: [ROW, { ...ROW, label: 2 }] }), UserError);
  assertEquals([bad.kind, bad.what], ["data", '"label" is 2']);
  assertStringIncludes(bad.where, "us_foreign_policy, row 2");
});

Deno.test("modiste_mmlu_all is every subject of the study", async () => {
  const names = await modisteMmluAll.expand!({ argument: "", options: {} });
  assertEquals([names.length, names[0]], [4, "modiste_mmlu:elementary_mathematics"]);
});
