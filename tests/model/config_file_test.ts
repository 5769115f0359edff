import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { readConfigFile } from "../../model/config_file.ts";
import { withFolder } from "./_files.ts";

Deno.test("readConfigFile() gives the fields of a JSON object", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/config.json`, '{ "model_type": "llama", "n": [1] }');
    assertEquals(await readConfigFile(`${folder}/config.json`), { model_type: "llama", n: [1] });
  });
});

for (const text of ["null", "[]", '"text"', "3", "{", ""]) {
  Deno.test(`readConfigFile() refuses ${JSON.stringify(text)}, naming the file`, async () => {
    await withFolder(async (folder) => {
      const path = `${folder}/config.json`;
      await Deno.writeTextFile(path, text);
      const error = await assertRejects(() => readConfigFile(path), UserError);
      assertEquals([error.kind, error.where], ["data", path]);
    });
  });
}
