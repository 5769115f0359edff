import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import {
  builtins,
  type Dataset,
  type DatasetRequest,
  isLabeled,
  type Method,
  offlineLogits,
  predictConfidence,
  type Split,
  type StoredRow,
  UserError,
} from "@credence/credence";
import { FakeModel } from "@credence/credence/testing";
import { createRng } from "../../../core/rng.ts";
import { all, withFolder, writeFiles } from "../_folders.ts";

const GOLDEN = fileURLToPath(new URL("../../golden/logits", import.meta.url));

/** Lends a folder of data with the recorded scores at a place in it. */
async function withScores<T>(place: string, from: string, work: (dataDir: string) => Promise<T>): Promise<T> {
  return await withFolder(async (dataDir) => {
    for await (const { name: split } of Deno.readDir(`${GOLDEN}/${from}`)) {
      for await (const { name } of Deno.readDir(`${GOLDEN}/${from}/${split}`)) {
        await writeFiles(dataDir, {
          [`${place}/${split}/${name}`]: await Deno.readFile(`${GOLDEN}/${from}/${split}/${name}`),
        });
      }
    }
    return await work(dataDir);
  });
}

const read = async (dataset: Dataset, split: Split, request: DatasetRequest) =>
  await all(dataset.read!(split, request)) as StoredRow[];

const find = (name: string) =>
  builtins.find((plugin): plugin is Dataset => plugin.kind === "dataset" && plugin.name === name)!;

Deno.test("offline_logits reads the scores and labels that torch saved; -1 is undecided", () =>
  withScores("offline_logits/mine", "whole", async (dataDir) => {
    const request = { argument: "mine", options: {}, dataDir };
    assertEquals(await offlineLogits.available!(request), ["test"]);
    const rows = await read(offlineLogits, "test", request);
    assertEquals(rows.map(({ logits }) => logits), [[0.5, -1.25], [-2, 3], [0, 0]]);
    assertEquals(rows.map(({ label }) => label), [0, 1, null]);
    assertEquals(rows.map(({ id }) => id), [0, 1, 2].map((row) => `test/query_data.bin/${row}`));
    assertStringIncludes(await offlineLogits.revision!(request), "test:");
  }));

Deno.test("offline_logits joins the parts of several processes, whatever labeler they are kept under, and keeps them", () =>
  withScores("offline_logits/mine", "parts", async (dataDir) => {
    const request = { argument: "mine", options: {}, dataDir };
    for (let time = 0; time < 2; time++) {
      const rows = await read(offlineLogits, "validation", request);
      assertEquals(rows.map(({ logits, label }) => [logits, label]), [[[0.25, 0.75], 1], [[4, -4], 0]]);
    }
  }));

Deno.test("mmlu_offline_query_logits reads one subject, and its collection every subject that is there", async () => {
  for (const name of ["mmlu_offline_query_logits", "mmlu_offline_ve_logits"]) {
    await withScores(`${name}/mine/anatomy`, "whole", async (dataDir) => {
      const rows = await read(find(name), "test", { argument: "mine:anatomy", options: {}, dataDir });
      assertEquals(rows.map(({ group }) => group), ["anatomy", "anatomy", "anatomy"]);
      const names = await find(`${name}_all`).expand!({ argument: "mine", options: {}, dataDir });
      assertEquals(names, [`${name}:mine:anatomy`]);
    });
  }
});

Deno.test("Nothing is asked of a model about rows whose scores are stored", () =>
  withScores("offline_logits/mine", "whole", async (dataDir) => {
    const rows = await read(offlineLogits, "test", { argument: "mine", options: {}, dataDir });
    const method = {
      name: "deaf",
      predict: () => {
        throw new Error("asked");
      },
    } as unknown as Method;
    const context = { options: {}, rng: createRng(1), batchSize: 1, progress: { update: () => {} } };
    const predictions = await all(
      predictConfidence(new FakeModel(), rows.filter(isLabeled), method, context, {
        kind: "temperature",
        temperature: 2,
      }),
    );
    assertEquals(predictions.map(({ pCorrect }) => pCorrect), [
      1 / (1 + Math.exp(0.875)),
      1 / (1 + Math.exp(-2.5)),
      0.5,
    ]);
  }));

for (
  const [from, what] of [
    ["unsound", "q_logits is [3, 1] and q_labels [3]"],
    ["label", "The label is 2"],
  ]
) {
  Deno.test(`offline_logits refuses a file because ${what}`, () =>
    withScores("offline_logits/mine", from, async (dataDir) => {
      const error = await assertRejects(
        () => read(offlineLogits, "test", { argument: "mine", options: {}, dataDir }),
        UserError,
      );
      assertEquals([error.kind, error.what], ["data", what]);
    }));
}

Deno.test("offline_logits refuses a folder without scores, one with two files of them, and a file that is none", () =>
  withFolder(async (dataDir) => {
    const attempt = () => read(offlineLogits, "test", { argument: "mine", options: {}, dataDir });
    assertEquals((await assertRejects(attempt, UserError)).what, "There are no scores");
    await writeFiles(dataDir, { "offline_logits/mine/test/a.bin": "no pickle" });
    assertEquals((await assertRejects(attempt, UserError)).kind, "data");
    await writeFiles(dataDir, { "offline_logits/mine/test/b.bin": "" });
    assertStringIncludes((await assertRejects(attempt, UserError)).what, "a.bin, b.bin");
  }));
