import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError } from "@credence/credence";
import { checkUntrained } from "../../../plugins/methods/untrained.ts";
import { withFolder, writeFiles } from "../_folders.ts";

for (
  const [file, what, wrote] of [
    ["adapter_config.json", "an adapter", "lora-prompt"],
    ["classifier_model.safetensors", "a classifier", "probe"],
    ["classifier_model.bin", "a classifier", "probe"],
  ]
) {
  Deno.test(`checkUntrained() refuses a checkpoint with ${file}, which would not be used`, () =>
    withFolder(async (folder) => {
      await writeFiles(folder, { [file]: "{}" });
      const error = await assertRejects(() => checkUntrained("some", folder), UserError);
      assertEquals([error.kind, error.where], ["usage", folder]);
      assertStringIncludes(error.what, `"some" asks the untuned model, but the checkpoint holds ${what}`);
      assertStringIncludes(error.fix, `--method=${wrote}`);
    }));
}

Deno.test("checkUntrained() takes no checkpoint, and one that holds neither", () =>
  withFolder(async (folder) => {
    await checkUntrained("some", undefined);
    await writeFiles(folder, { "temperature_model.safetensors": "" });
    await checkUntrained("some", folder);
  }));
