import { assertEquals } from "@std/assert";
import { choice, listedChoices } from "@credence/credence";

for (const count of [1, 2, 5, 10, 26]) {
  Deno.test(`listedChoices() finds the letters of ${count} options that the choice style lists`, () => {
    const choices = Array.from({ length: count }, (_, index) => `number ${index}`);
    const question = { id: "1", split: "test", question: "Which?", choices, answer: 0 } as const;
    const letters = [..."abcdefghijklmnopqrstuvwxyz"].slice(0, count);
    assertEquals(listedChoices(choice.render(question, [], {})), letters);
  });
}

Deno.test("listedChoices() finds none where a question lists none, though it has letters in parentheses", () => {
  assertEquals(listedChoices({ context: "Question: What does (a): mean?\n  (a): this" }), []);
});

Deno.test("listedChoices() counts on over an option of several lines, and stops where a letter is missing", () => {
  const context = "Question:\nWhich?\n\nChoices:\n  (a): one\nline\n  (b): two\n  (d): four";
  assertEquals(listedChoices({ context }), ["a", "b"]);
});

Deno.test("listedChoices() reads the last list, where the question quotes one", () => {
  const context =
    "Question:\nWhat is\nChoices:\n  (a): x\n  (b): y\n  (c): z\n?\n\nChoices:\n  (a): no\n  (b): yes";
  assertEquals(listedChoices({ context }), ["a", "b"]);
});
