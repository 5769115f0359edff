import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { hashFile, UserError } from "../../core/mod.ts";
import { noteStyle } from "../../tasks/_checkpoint.ts";
import { evaluationsOf, trainedCheckpoint, trainingOf, withoutPaths } from "../../tasks/_adapter_run.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";

const METRICS = { ece: { value: 0.1, low: 0.05, high: 0.2 } };

/** Files of a run that answered `facts`, labelled, trained, and evaluated on the labels it made. */
async function writeRun(folder: string): Promise<void> {
  await writeFiles(folder, {
    "checkpoint-20/adapter_model.safetensors": "weights",
    "checkpoint-20/adapter_config.json": "{}",
    "metrics/offline/test/metrics.json": JSON.stringify({
      ...{ dataset: `offline:${folder}/labels`, split: "test", model: "/home/me/model" },
      ...{ adapter: `${folder}/checkpoint-20`, temperature: 1.5, n: 10, undecided: 1, metrics: METRICS },
    }),
  });
  const facts = { name: "facts", argument: "", revision: "1" };
  const asked = { inputs: { dataset: facts, promptStyle: { name: "oe" } }, outputs: {} };
  const offline = { name: "offline", argument: `${folder}/labels`, revision: "train:aa test:bb" };
  const metrics = "metrics/offline/test/metrics.json";
  await writeManifest(folder, {
    "outputs/train": asked,
    "outputs/test": asked,
    "labels/train": { inputs: { labeler: { name: "substring" } }, outputs: { "labels/train/0.csv": "aa" } },
    "labels/test": { inputs: {}, outputs: { "labels/test/0.csv": "bb" } },
    "train": {
      inputs: {
        ...{ dataset: offline, method: { name: "lora-prompt" }, options: { lr: 0.1, seeds: "/home/me/x" } },
        ...{ batchSize: 4, maxSteps: 20, seed: 137, limit: null, model: { name: "facts", dtype: "int8" } },
      },
      outputs: {
        "checkpoint-20/adapter_model.safetensors": await hashFile(
          join(folder, "checkpoint-20/adapter_model.safetensors"),
        ),
      },
    },
    "metrics/offline/test": {
      inputs: { dataset: offline, adapter: "print" },
      outputs: {
        "metrics/offline/test/predictions.csv": "cc",
        [metrics]: await hashFile(join(folder, metrics)),
      },
    },
  });
}

const writeManifest = (folder: string, stages: unknown) =>
  writeFiles(folder, { "run.json": JSON.stringify({ version: 1, stages }) });

const EVALUATION = {
  // Written by an earlier version, which knew temperatures alone.
  calibrator: { kind: "temperature" as const, temperature: 1.5 },
  ...{ dataset: "facts", split: "test", n: 10, undecided: 1, unscored: 0 },
  metrics: METRICS,
};

Deno.test("trainedCheckpoint() names the checkpoint that a training ended with", () =>
  withFolder(async (folder) => {
    await writeRun(folder);
    assertEquals(await trainedCheckpoint(folder), join(folder, "checkpoint-20"));
  }));

Deno.test("trainedCheckpoint() refuses a run without a finished training", () =>
  withFolder(async (folder) => {
    await writeManifest(folder, {});
    await assertRejects(() => trainedCheckpoint(folder), UserError, "has no finished training");
  }));

for (
  const [what, manifest] of [
    ["without run.json", undefined],
    ["whose run.json is a list", "[]"],
    ["whose run.json has no stages", "{}"],
    ["with a stage that is none", '{"stages":{"train":1}}'],
  ] as const
) {
  Deno.test(`A folder ${what} is refused as none of a run`, () =>
    withFolder(async (folder) => {
      if (manifest !== undefined) await writeFiles(folder, { "run.json": manifest });
      const error = await assertRejects(() => trainedCheckpoint(folder), UserError);
      assertEquals(error.kind, "data");
    }));
}

Deno.test("trainingOf() says what an adapter was trained on and how, and nothing of where things lie", () =>
  withFolder(async (folder) => {
    await writeRun(folder);
    assertEquals(await trainingOf(folder, join(folder, "checkpoint-20")), {
      model: { name: "facts", dtype: "int8" },
      dataset: "facts",
      promptStyle: "oe",
      labeler: "substring",
      settings: {
        ...{ method: "lora-prompt", lr: 0.1, seeds: "x", batchSize: 4, maxSteps: 20, seed: 137 },
        dtype: "int8",
      },
    });
  }));

Deno.test("trainingOf() says nothing of an adapter that the run did not write, or that was changed since", () =>
  withFolder(async (folder) => {
    await writeRun(folder);
    await writeFiles(folder, { "checkpoint-10/adapter_model.safetensors": "weights" });
    assertEquals(await trainingOf(folder, join(folder, "checkpoint-10")), undefined);
    await writeFiles(folder, { "checkpoint-20/adapter_model.safetensors": "others" });
    assertEquals(await trainingOf(folder, join(folder, "checkpoint-20")), undefined);
  }));

Deno.test("evaluationsOf() gives the evaluations of an adapter by the name of the questions, without paths", () =>
  withFolder(async (folder) => {
    await writeRun(folder);
    assertEquals(await evaluationsOf(folder, "print"), [EVALUATION]);
    assertEquals(await evaluationsOf(folder, "another"), []);
  }));

Deno.test("evaluationsOf() finds those in folders below, and knows an adapter of the Hub by its files", () =>
  withFolder(async (folder) => {
    const after = join(folder, "after");
    await writeRun(after);
    const { stages } = JSON.parse(await Deno.readTextFile(join(after, "run.json")));
    stages["metrics/offline/test"].inputs.adapter = {
      name: "hf:me/a",
      commit: "c0ffee",
      fingerprint: "print",
    };
    await writeManifest(after, { "metrics/offline/test": stages["metrics/offline/test"] });
    await writeManifest(folder, { ...stages, "metrics/offline/test": undefined });
    assertEquals(await evaluationsOf(folder, "print", folder), [EVALUATION]);
    // Without the run that labelled the answers, nobody can say what they are about.
    assertEquals((await evaluationsOf(after, "print"))[0].dataset, "offline");
  }));

Deno.test("evaluationsOf() refuses numbers that were changed since the evaluation wrote them", () =>
  withFolder(async (folder) => {
    await writeRun(folder);
    const path = join(folder, "metrics", "offline", "test", "metrics.json");
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("0.1", "0.01"));
    await assertRejects(() => evaluationsOf(folder, "print"), UserError, "was changed since");
  }));

Deno.test("withoutPaths() keeps of a place on this machine its last name only", () => {
  assertEquals(withoutPaths({ a: "/home/me/model", b: "runs/mine", c: 1, d: ["q_proj"] }), {
    ...{ a: "model", b: "runs/mine", c: 1, d: ["q_proj"] },
  });
});

Deno.test("noteStyle() tells that an adapter was trained on another prompt style, as far as runs say", () =>
  withFolder(async (folder) => {
    await writeRun(folder);
    const checkpoint = join(folder, "checkpoint-20"), told: string[] = [];
    const tell = (text: string) => told.push(text);
    await noteStyle(checkpoint, "oe", tell);
    await noteStyle(join(folder, "nowhere"), "choice", tell);
    assertEquals(told, []);
    await noteStyle(checkpoint, "choice", tell);
    assertEquals(told, [
      `${checkpoint} was trained on answers in prompt style oe; this measures it on choice.`,
    ]);
  }));
