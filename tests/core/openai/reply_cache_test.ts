import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { type ChatReply, ReplyCache, UserError } from "../../../core/mod.ts";
import { withFolder } from "../../plugins/_folders.ts";

const reply = (text: string): ChatReply => ({
  text,
  finishReason: "stop",
  promptTokens: 3,
  completionTokens: 1,
});

const open = (folder: string) => ReplyCache.open(folder, "http://localhost/v1", "judge");

Deno.test("ReplyCache gives back what was kept, in this program and the next", async () => {
  await withFolder(async (folder) => {
    using cache = await open(join(folder, "made"));
    cache.set("a", reply("Yes"));
    assertEquals([cache.get("a"), cache.get("b")], [reply("Yes"), undefined]);
    using next = await open(join(folder, "made"));
    assertEquals(next.get("a"), reply("Yes"));
  });
});

Deno.test("ReplyCache keeps endpoints and models apart", async () => {
  await withFolder(async (folder) => {
    using cache = await open(folder);
    cache.set("a", reply("Yes"));
    using model = await ReplyCache.open(folder, "http://localhost/v1", "other");
    using endpoint = await ReplyCache.open(folder, "http://localhost/v2", "judge");
    assertEquals([model.get("a"), endpoint.get("a")], [undefined, undefined]);
  });
});

Deno.test("ReplyCache loses nothing but a line that was cut off, wherever it was cut", async () => {
  await withFolder(async (folder) => {
    using cache = await open(folder);
    // A character of several bytes may be cut as well.
    for (const key of ["a", "é🎉"]) cache.set(key, reply(key));
    const whole = await Deno.readFile(cache.path), first = whole.indexOf(10, 1) + 1;
    for (let length = first; length < whole.length; length++) {
      await Deno.writeFile(cache.path, whole.subarray(0, length));
      using cut = await open(folder);
      assertEquals(cut.get("a"), reply("a"));
      cut.set("c", reply("c"));
      using next = await open(folder);
      assertEquals([next.get("a"), next.get("c")], [reply("a"), reply("c")]);
    }
  });
});

Deno.test("ReplyCache takes what two programs write at once", async () => {
  await withFolder(async (folder) => {
    using one = await open(folder);
    using two = await open(folder);
    for (let index = 0; index < 50; index++) (index % 2 === 0 ? one : two).set(`${index}`, reply(`${index}`));
    using all = await open(folder);
    for (let index = 0; index < 50; index++) assertEquals(all.get(`${index}`), reply(`${index}`));
  });
});

for (const line of ["3", "null", "[1]", '["a", null]', '["a", {"text": 4}]', "{", "\u0000"]) {
  Deno.test(`ReplyCache passes over the line ${JSON.stringify(line)}`, async () => {
    await withFolder(async (folder) => {
      using cache = await open(folder);
      cache.set("b", reply("Yes"));
      await Deno.writeTextFile(cache.path, `${line}\n`, { append: true });
      using next = await open(folder);
      assertEquals([next.get("a"), next.get("b")], [undefined, reply("Yes")]);
    });
  });
}

Deno.test("ReplyCache says where it cannot write", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "file"), "");
    using cache = await open(join(folder, "other"));
    await Deno.writeTextFile(join(folder, "other"), "");
    assertEquals(assertThrows(() => cache.set("a", reply("Yes")), UserError).kind, "data");
    await Deno.mkdir(join(folder, cache.path.split("/").at(-1)!));
    await assertRejects(() => open(folder), UserError);
  });
});
