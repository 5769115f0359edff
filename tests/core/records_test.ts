import { assertEquals } from "@std/assert";
import { answeredText, isStoredRow, promptText, SPLITS } from "../../core/records.ts";
import { generation, question } from "./_samples.ts";

const prompt = generation("x", {
  prompt: "Examples.\n\n",
  context: "Question: q?",
  targetPrompt: "\nAnswer:",
});

Deno.test("SPLITS has training before validation before test", () => {
  assertEquals(SPLITS, ["train", "validation", "test"]);
});

Deno.test("promptText() is examples, question and what the answer follows, with no blank at either end", () => {
  assertEquals(promptText(prompt), "Examples.\n\nQuestion: q?\nAnswer:");
  assertEquals(promptText({ ...prompt, prompt: "\n ", targetPrompt: "\nAnswer: " }), "Question: q?\nAnswer:");
});

Deno.test("answeredText() puts one blank between prompt and answer", () => {
  assertEquals(answeredText(prompt, "a"), "Examples.\n\nQuestion: q?\nAnswer: a");
});

Deno.test("answeredText() of no answer is the prompt's text", () => {
  assertEquals(answeredText(prompt, ""), promptText(prompt));
});

Deno.test("isStoredRow() tells a prompt from a question", () => {
  assertEquals(isStoredRow(prompt), true);
  assertEquals(isStoredRow(question("x")), false);
});
