import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError, writeCsv } from "@credence/credence";
import { questionDataset } from "../../../plugins/datasets/spec.ts";
import { storyCloze } from "../../../plugins/datasets/hub/story_cloze.ts";
import { all, withEnvironment, withFolder, writeFiles } from "../_folders.ts";
import golden from "../../golden/prompts/story_cloze.json" with { type: "json" };

Deno.test("story_cloze is read from the file that is given out, which is put into its place by hand", () =>
  withFolder(async (folder) => {
    const rows: readonly Record<string, unknown>[] = golden.rows.validation;
    const columns = [
      "InputStoryid",
      ...[1, 2, 3, 4].map((number) => `InputSentence${number}`),
      "RandomFifthSentenceQuiz1",
      "RandomFifthSentenceQuiz2",
      "AnswerRightEnding",
    ];
    const given = rows.map((row, index) =>
      Object.fromEntries([
        ["InputStoryid", `${index}`],
        ...[1, 2, 3, 4].map((number) => [`InputSentence${number}`, row[`input_sentence_${number}`]]),
        ["RandomFifthSentenceQuiz1", row.sentence_quiz1],
        ["RandomFifthSentenceQuiz2", row.sentence_quiz2],
        ["AnswerRightEnding", row.answer_right_ending],
      ]) as Record<string, string>
    );
    const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join("");
    await writeFiles(folder, { "renamed/story_cloze/validation.jsonl": lines });
    const name = "cloze_test_val__winter2018-cloze_test_ALL_val - 1 - 1.csv";
    await writeCsv(`${folder}/home/datasets/story_cloze/2018/${name}`, columns, given);
    await writeCsv(`${folder}/here/story_cloze/2018/${name}`, columns, given.slice(1));
    const dataset = questionDataset(storyCloze);
    const read = async (dataDir?: string) =>
      await all(dataset.read!("validation", { argument: "", options: {}, dataDir }));
    await withEnvironment({ HF_HOME: `${folder}/home` }, async () => {
      const questions = await read(`${folder}/renamed`);
      assertEquals(questions.length, 9);
      assertEquals(await read(), questions);
      assertEquals((await read(`${folder}/here`)).length, 8);
      assertStringIncludes(await dataset.revision!({ argument: "", options: {} }), "validation:");
    });
  }));

Deno.test("story_cloze says where to get its file and where to put it", () =>
  withFolder(async (folder) => {
    const dataset = questionDataset(storyCloze);
    const request = { argument: "", options: {}, dataDir: folder };
    await withEnvironment({ HF_HOME: `${folder}/home` }, async () => {
      for (const ask of [() => all(dataset.read!("validation", request)), () => dataset.revision!(request)]) {
        const error = await assertRejects(ask, UserError);
        assertEquals([error.kind, error.where], [
          "data",
          `${folder}/story_cloze/2018 or ${folder}/home/datasets/story_cloze/2018`,
        ]);
        assertStringIncludes(error.fix, "https://cs.rochester.edu/nlp/rocstories/");
        assertStringIncludes(error.fix, `into ${folder}/story_cloze/2018`);
      }
    });
  }));
