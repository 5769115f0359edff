import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { writeSafetensors } from "../../model/safetensors.ts";
import { checkCheckpoint, checkpointFingerprint } from "../../tasks/_checkpoint.ts";
import { Session } from "../../tasks/_session.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";

Deno.test("checkpointFingerprint() of links, as the cache of the Hub holds, is that of the files they lead to", () =>
  withFolder(async (folder) => {
    const weights = "adapter_model.safetensors";
    await writeFiles(folder, { "blobs/1": "one", "blobs/2": "two", [`plain/${weights}`]: "one" });
    for (const blob of ["1", "2"]) {
      await Deno.mkdir(join(folder, blob));
      await Deno.symlink(`../blobs/${blob}`, join(folder, blob, weights));
    }
    const [plain, first, second] = await Promise.all(
      ["plain", "1", "2"].map((name) => checkpointFingerprint(join(folder, name))),
    );
    assertEquals(first, plain);
    assertNotEquals(second, plain);
  }));

Deno.test("checkpointFingerprint() stays the same when a temperature is written beside the adapter", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "adapter_config.json": "{}" });
    const before = await checkpointFingerprint(folder);
    await writeFiles(folder, { "temperature_model.safetensors": "x" });
    assertEquals(await checkpointFingerprint(folder), before);
  }));

Deno.test("checkpointFingerprint() refuses a folder that is not there", () =>
  withFolder(async (folder) => {
    const error = await assertRejects(() => checkpointFingerprint(join(folder, "nope")), UserError);
    assertEquals(error.kind, "data");
  }));

/** An adapter for a model that it names, and whose weights it may tell. */
const writeAdapter = async (
  folder: string,
  name: string,
  metadata: Readonly<Record<string, string>> = {},
) => {
  await writeFiles(folder, { "adapter_config.json": JSON.stringify({ base_model_name_or_path: name }) });
  await writeSafetensors(join(folder, "adapter_model.safetensors"), [], { format: "pt", ...metadata });
};

/** What checkCheckpoint() tells the user of an adapter beside the embedded model. */
async function toldOf(folder: string): Promise<readonly string[]> {
  const told: string[] = [];
  await checkCheckpoint(new Session("test"), "facts", folder, (text) => told.push(text));
  return told;
}

Deno.test("checkCheckpoint() refuses an adapter for other weights, whatever their name, and lets one for these pass", () =>
  withFolder(async (folder) => {
    const fingerprint = await new Session("test").weightsFingerprint("facts");
    await writeAdapter(folder, "a copy of it", { base_model_fingerprint: fingerprint });
    assertEquals(await toldOf(folder), []);
    for (
      const [name, trainedOn] of [["facts", "other weights than those of"], [
        "some/model",
        "some/model, not on",
      ]]
    ) {
      await writeAdapter(folder, name, { base_model_fingerprint: "1f" });
      const error = await assertRejects(() => toldOf(folder), UserError);
      const what = `The checkpoint was trained on ${trainedOn} facts`;
      assertEquals([error.what, error.where], [what, folder]);
    }
  }));

Deno.test("checkCheckpoint() tells that an adapter names another model where it does not say for which weights it is", () =>
  withFolder(async (folder) => {
    for (const name of ["facts", "hf:someone/Facts@main", "/models/facts"]) {
      await writeAdapter(folder, name);
      assertEquals(await toldOf(folder), []);
    }
    await writeAdapter(folder, "some/model");
    const [told] = await toldOf(folder);
    assertEquals(told, `${folder} is for the model some/model; that this is facts cannot be checked.`);
  }));

Deno.test("checkpointFingerprint() refuses a file where a checkpoint's folder is wanted", () =>
  withFolder(async (folder) => {
    const path = join(folder, "adapter_model.safetensors");
    await Deno.writeTextFile(path, "");
    await assertRejects(() => checkpointFingerprint(path), UserError, `There is no checkpoint ${path}`);
  }));
