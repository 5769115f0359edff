import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { checkpointFingerprint } from "../../tasks/_checkpoint.ts";
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
