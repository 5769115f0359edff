import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { createRng, loraPrompt, UserError, zeroShot } from "@credence/credence";
import { FakeModel, testMethod } from "@credence/credence/testing";
import { withFolder } from "../_folders.ts";
import { row } from "./_training.ts";

testMethod(zeroShot);

const context = { options: zeroShot.defaults, rng: createRng(1), batchSize: 2, progress: { update() {} } };
const rows = [0, 1, 2].map((index) => row("test", index, null));

Deno.test("zero-shot says what lora-prompt says before it is trained", async () => {
  const model = new FakeModel({ evidence: (text) => text.length });
  const scores = await Array.fromAsync(zeroShot.predict(model, rows, context));
  const untrained = loraPrompt.predict(model, rows, { ...context, options: loraPrompt.defaults });
  assertEquals(scores, await Array.fromAsync(untrained));
  assertEquals(scores.length, 3);
});

Deno.test("zero-shot refuses a checkpoint with an adapter, which it would not use", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "adapter_config.json"), "{}");
    const error = await assertRejects(
      () => Array.fromAsync(zeroShot.predict(new FakeModel(), rows, { ...context, checkpoint: folder })),
      UserError,
    );
    assertEquals(error.kind, "usage");
    assertStringIncludes(error.fix, "--method=lora-prompt");
  }));

Deno.test("zero-shot asks in other words and in a chat where it is told to", async () => {
  const asked: string[] = [];
  const model = new FakeModel({
    evidence: (text) => asked.push(text),
    chat: (turns) => turns.map(({ role }) => `<${role}>`).join(" "),
  });
  for (
    const options of [{ queryFormat: "bool", queryChat: false }, { ...zeroShot.defaults, queryChat: true }]
  ) {
    await Array.fromAsync(zeroShot.predict(model, rows.slice(0, 1), { ...context, options }));
  }
  assertEquals(asked, [
    "Question: number 0?\nAnswer: bad 0\n\nIs the proposed answer correct?\nAnswer:",
    "<system> <user> <assistant> <user>",
  ]);
});
