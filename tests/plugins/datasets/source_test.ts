import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type DatasetSpec, type Question, questionDataset, UserError } from "@credence/credence";
import { all, withFolder, writeFiles } from "../_folders.ts";

const spec: DatasetSpec = {
  name: "quiz",
  description: "a quiz",
  home: "https://example.org",
  licence: "MIT",
  source: { repo: "acme/quiz" },
  splits: { train: "train" },
  shots: "train",
  fields: { question: "question", choices: "choices", answer: { column: "answer", form: "index" } },
  wording: {},
};

const read = (dataDir?: string) =>
  all(questionDataset(spec).read!("train", { argument: "", options: {}, dataDir })) as Promise<Question[]>;

const parquet = new URL("../../golden/mmlu_parquet/dev.parquet", import.meta.url);

Deno.test("A dataset is read from Parquet, whose numbers may be of 64 bits", async () => {
  await withFolder(async (folder) => {
    await writeFiles(folder, { "quiz/train.parquet": await Deno.readFile(parquet) });
    const questions = await read(folder);
    assertEquals(questions.length, 5);
    assertEquals(
      questions.every(({ answer, choices }) => Number.isInteger(answer) && choices!.length === 4),
      true,
    );
  });
});

Deno.test("A dataset whose file is missing says where it would be, and where to get it", async () => {
  await withFolder(async (folder) => {
    const error = await assertRejects(() => read(folder), UserError);
    assertEquals(error.kind, "data");
    assertStringIncludes(error.fix, "acme/quiz");
    assertStringIncludes(error.where, `${folder}/quiz`);
    assertStringIncludes((await assertRejects(() => read(), UserError)).where, "--data-dir");
  });
});

for (
  const [why, line, what] of [
    ["a line that is no JSON", "{", "Not a line of JSON"],
    ["a line that is a list", "[1]", "The line is not a JSON object"],
    ["a line that is a number", "1", "The line is not a JSON object"],
  ]
) {
  Deno.test(`A dataset in JSON Lines refuses ${why}, naming it`, async () => {
    await withFolder(async (folder) => {
      const good = JSON.stringify({ question: "?", choices: ["x", "y"], answer: 0 });
      await writeFiles(folder, { "quiz/train.jsonl": `${good}\n\n${line}\n` });
      const error = await assertRejects(() => read(folder), UserError);
      assertEquals([error.kind, error.what], ["data", what]);
      assertStringIncludes(error.where, "train.jsonl, line 3");
    });
  });
}

Deno.test("A truncated Parquet file is refused by name", async () => {
  await withFolder(async (folder) => {
    const bytes = await Deno.readFile(parquet);
    await writeFiles(folder, { "quiz/train.parquet": bytes.slice(0, bytes.length / 2) });
    const error = await assertRejects(() => read(folder), UserError);
    assertEquals(error.kind, "data");
    assertStringIncludes(error.where, "train.parquet");
  });
});
