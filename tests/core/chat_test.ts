import { assertEquals, assertThrows } from "@std/assert";
import { CHAT_INSTRUCTION, encodeChat, questionTurn, usesChat } from "../../core/chat.ts";
import { UserError } from "../../core/errors.ts";
import type { ChatMessage } from "../../core/types.ts";
import { FakeModel } from "../../core/testing/mod.ts";
import { generation } from "./_samples.ts";

const shown = (turns: readonly ChatMessage[]) =>
  turns.map(({ role, content }) => `<${role}> ${content}`).join(" ");
const base = new FakeModel().tokenizer, tuned = new FakeModel({ chat: shown }).tokenizer;

Deno.test("usesChat() follows the model, unless it is told otherwise", () => {
  assertEquals((["auto", "on", "off"] as const).map((use) => usesChat(tuned, use)), [true, true, false]);
  assertEquals((["auto", "off"] as const).map((use) => usesChat(base, use)), [false, false]);
  const error = assertThrows(() => usesChat(base, "on"), UserError);
  assertEquals([error.kind, error.what, error.where], [
    "usage",
    "The model has no chat template",
    "--chat=on",
  ]);
});

Deno.test("encodeChat() puts the research code's instruction in front, as the system turn", () => {
  const text = tuned.decode(encodeChat(tuned, [questionTurn(generation("a"))]));
  assertEquals(text, `<system> ${CHAT_INSTRUCTION} <user> Question: What is a?\nAnswer:`);
});

Deno.test("encodeChat() gives the instruction in the first turn where the template knows no system turn", () => {
  const strict = new FakeModel({
    chat(turns) {
      if (turns[0].role !== "system") return shown(turns);
      throw new UserError({ kind: "data", what: "no system turn", where: "template", fix: "leave it out" });
    },
  }).tokenizer;
  const turns = [{ role: "user", content: "Why?" }, { role: "assistant", content: "So." }];
  assertEquals(
    strict.decode(encodeChat(strict, turns)),
    `<user> ${CHAT_INSTRUCTION}\n\nWhy? <assistant> So.`,
  );
});
