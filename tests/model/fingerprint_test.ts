import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Checkpoint } from "../../model/checkpoint.ts";
import { modelFingerprint, readBaseModel, weightsFingerprint } from "../../model/fingerprint.ts";
import { writeSafetensors } from "../../model/safetensors.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";
import { editJson, editTensors, type RawTensor, shard } from "./_files.ts";
import { goldenPath } from "./_golden.ts";

/** Runs with a folder that holds a recorded model in f32. */
async function withModelFolder(work: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    for (const name of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(goldenPath("mha-f32", "model", name), `${folder}/${name}`);
    }
    await writeFiles(folder, { "tokenizer.json": "{}" });
    await work(folder);
  });
}

async function fingerprintOf(folder: string): Promise<string> {
  using checkpoint = await Checkpoint.open(folder);
  return await weightsFingerprint(checkpoint);
}

const values = ({ bytes }: RawTensor) => new Float32Array(bytes.buffer);

Deno.test("modelFingerprint() changes with each file that changes what a model says, and with no other", async () => {
  await withModelFolder(async (folder) => {
    const first = await modelFingerprint(folder);
    assertEquals(await modelFingerprint(folder), first);
    await Deno.writeTextFile(`${folder}/README.md`, "new");
    assertEquals(await modelFingerprint(folder), first);
    const seen = new Set([first]);
    const changed = async (path: string, change: () => Promise<void>) => {
      await change();
      const fingerprint = await modelFingerprint(folder);
      assert(!seen.has(fingerprint), `${path} does not count`);
      seen.add(fingerprint);
    };
    for (const name of ["config.json", "tokenizer.json"]) {
      await changed(name, () => editJson(`${folder}/${name}`, (value) => value.changed = true));
    }
    for (const name of ["tokenizer_config.json", "generation_config.json"]) {
      await changed(name, () => Deno.writeTextFile(`${folder}/${name}`, "{}"));
    }
    const path = `${folder}/model.safetensors`;
    const weights = await Deno.readFile(path);
    await changed(path, () => Deno.writeFile(path, weights.with(weights.length - 1, weights.at(-1)! ^ 1)));
    await changed("a second file", () => Deno.writeFile(`${folder}/more.safetensors`, weights));
    await Deno.remove(`${folder}/tokenizer.json`);
    for (const bytes of [[1], [2]]) {
      const write = () => Deno.writeFile(`${folder}/tokenizer.model`, Uint8Array.from(bytes));
      await changed("tokenizer.model", write);
    }
  });
});

Deno.test("weightsFingerprint() is the same in another precision, in other files, and beside another tokenizer", () =>
  withModelFolder(async (folder) => {
    const first = await fingerprintOf(folder);
    await editTensors(`${folder}/model.safetensors`, (tensors) => {
      for (const [name, tensor] of tensors) {
        const halves = Float16Array.from(values(tensor));
        tensors.set(name, { ...tensor, dtype: "F16", bytes: new Uint8Array(halves.buffer) });
      }
    });
    assertEquals(await fingerprintOf(folder), first);
    await shard(folder);
    await writeFiles(folder, { "tokenizer.json": "[]" });
    assertEquals(await fingerprintOf(folder), first);
  }));

Deno.test("weightsFingerprint() is another one where one matrix was trained further", () =>
  withModelFolder(async (folder) => {
    const first = await fingerprintOf(folder);
    await editTensors(`${folder}/model.safetensors`, (tensors) => {
      const trained = values(tensors.get("model.layers.1.self_attn.v_proj.weight")!);
      // By a hundredth of what the values are, some of which are near 0.
      const step = Math.max(...trained.map(Math.abs)) / 100;
      trained.forEach((_, index) => trained[index] += index % 2 ? step : -step);
    });
    assertNotEquals(await fingerprintOf(folder), first);
  }));

for (const [what, name] of [["classifier", "classifier_config.json"], ["calibrator", "method_config.json"]]) {
  Deno.test(`readBaseModel() reads what a ${what} says of its model`, () =>
    withFolder(async (folder) => {
      const config = { base_model_name_or_path: "some/model", base_model_fingerprint: "1f" };
      await writeFiles(folder, { [name]: JSON.stringify(config) });
      assertEquals(await readBaseModel(folder), { name: "some/model", fingerprint: "1f" });
    }));
}

Deno.test("readBaseModel() reads the name in an adapter's settings and the fingerprint in its weights", () =>
  withFolder(async (folder) => {
    assertEquals(await readBaseModel(folder), {});
    await writeFiles(folder, { "adapter_config.json": '{"base_model_name_or_path":"some/model"}' });
    await writeSafetensors(`${folder}/adapter_model.safetensors`, [], { format: "pt" });
    assertEquals(await readBaseModel(folder), { name: "some/model" });
    const metadata = { format: "pt", base_model_fingerprint: "1f" };
    await writeSafetensors(`${folder}/adapter_model.safetensors`, [], metadata);
    assertEquals(await readBaseModel(folder), { name: "some/model", fingerprint: "1f" });
  }));
