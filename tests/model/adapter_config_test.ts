import { assertEquals } from "@std/assert";
import type { AdapterQuery, LoraOptions } from "../../core/types.ts";
import { readAdapterConfig, writeAdapterConfig } from "../../model/adapter_config.ts";
import { withFolder } from "./_files.ts";

const OPTIONS: LoraOptions = { rank: 1, alpha: 2, dropout: 0, targetModules: ["q_proj"] };

/** The fields about the question in an adapter's settings, and what is read from them. */
const written = (query: AdapterQuery) =>
  withFolder(async (folder) => {
    const path = `${folder}/adapter_config.json`;
    await writeAdapterConfig(path, OPTIONS, "base", query);
    const { query_format, query_chat } = JSON.parse(await Deno.readTextFile(path));
    const { queryFormat, queryChat } = await readAdapterConfig(path);
    asked.push([[query_format, query_chat], [queryFormat, queryChat]]);
  });

const asked: unknown[] = [];

Deno.test("An adapter's settings say how it was taught to be asked, where that is not as usual", async () => {
  await written({ queryFormat: "bool", queryChat: true });
  await written({ queryFormat: "roman_choice", queryChat: false });
  await written({});
  assertEquals(asked, [
    [["bool", true], ["bool", true]],
    [[undefined, undefined], [undefined, undefined]],
    [[undefined, undefined], [undefined, undefined]],
  ]);
});
