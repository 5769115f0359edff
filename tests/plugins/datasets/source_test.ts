import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type DatasetSpec, type Question, questionDataset, UserError } from "@credence/credence";
import { COMMIT, FakeHub } from "../../core/hub/_fake_hub.ts";
import { all, withEnvironment, withFolder, writeFiles } from "../_folders.ts";

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

Deno.test("A dataset that is nowhere says where it would be, what keeps it from the Hub, and what helps", async () => {
  await withFolder(async (folder) => {
    await withEnvironment({ HF_HOME: folder, HF_HUB_OFFLINE: "1" }, async () => {
      const error = await assertRejects(() => read(folder), UserError);
      assertEquals(error.kind, "data");
      assertStringIncludes(error.what, "HF_HUB_OFFLINE");
      assertStringIncludes(error.where, `${folder}/quiz, acme/quiz`);
      assertStringIncludes(error.fix, "quiz/train.parquet");
      assertStringIncludes((await assertRejects(() => read(), UserError)).where, "--data-dir");
    });
  });
});

Deno.test("A dataset is read from the Hub's Parquet branch, of its configuration and split only, and then offline", async () => {
  await withFolder(async (folder) => {
    await using hub = new FakeHub();
    const bytes = await Deno.readFile(parquet);
    const files: Record<string, Uint8Array<ArrayBuffer>> = {};
    for (
      const path of [
        "main/train/0001.parquet",
        "main/train/0000.parquet",
        "main/test/0000.parquet",
        "other/train/0000.parquet",
      ]
    ) {
      files[path] = bytes;
    }
    hub.repositories["acme/quiz"] = { type: "dataset", files };
    const environment = { HF_HOME: folder, HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: "" };
    const dataset = questionDataset({ ...spec, source: { repo: "acme/quiz", config: "main" } });
    const request = { argument: "", options: {} };
    const questions = () => all(dataset.read!("train", request)) as Promise<Question[]>;
    const online = await withEnvironment(environment, questions);
    assertEquals(online.length, 10);
    assertEquals(new Set(online.map(({ id }) => id)).size, 10);
    assertEquals(hub.requestsFor("other/train/0000.parquet"), []);
    assertEquals(hub.requestsFor("main/test/0000.parquet"), []);
    const revision = await withEnvironment(environment, () => dataset.revision!(request));
    assertEquals(revision, `train:acme/quiz@${COMMIT}`);
    const seen = hub.seen.length;
    assertEquals(await withEnvironment({ ...environment, HF_HUB_OFFLINE: "1" }, questions), online);
    assertEquals(hub.seen.length, seen);
  });
});

Deno.test("A dataset without the wanted split on the Hub says so", async () => {
  await withFolder(async (folder) => {
    await using hub = new FakeHub();
    hub.repositories["acme/quiz"] = {
      type: "dataset",
      files: { "main/test/0000.parquet": await Deno.readFile(parquet) },
    };
    const environment = { HF_HOME: folder, HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: "" };
    const error = await withEnvironment(environment, () => assertRejects(() => read(folder), UserError));
    assertStringIncludes(error.what, "The train split of quiz is not on this machine");
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
