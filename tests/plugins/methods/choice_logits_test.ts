import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { choice, type Generation, type LanguageModel, UserError } from "@credence/credence";
import { FakeModel } from "@credence/credence/testing";
import { choiceLogits } from "../../../plugins/methods/choice_logits.ts";

/** A question of so many options, of which the first is right. */
function chosen(options: number, output: string, targetPrompt = "\nAnswer:"): Generation {
  const choices = Array.from({ length: options }, (_, index) => `number ${index}`);
  const question = {
    id: `${options} ${output}`,
    split: "test",
    question: "Which?",
    choices,
    answer: 0,
  } as const;
  return { ...choice.render(question, [], {}), targetPrompt, output };
}

const ask = (model: LanguageModel, rows: readonly Generation[]) =>
  Array.fromAsync(choiceLogits(model, rows, { batchSize: 2, progress: { update() {} } }));

/** Says so much of each letter. */
class Letters extends FakeModel {
  readonly asked: (readonly string[])[] = [];
  override async *tokenLogits(sequences: readonly (readonly number[])[], tokens: readonly number[]) {
    const letters = tokens.map((token) => this.tokenizer.decode([token]));
    this.asked.push(letters);
    for (const _ of sequences) {
      yield await Promise.resolve(letters.map((letter) => "abcdefghijkl".indexOf(letter.trim())));
    }
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

Deno.test("choiceLogits() gives each option's logit, of any number, and which were answered and right", async () => {
  const model = new Letters();
  assertEquals(await ask(model, [chosen(4, "b"), chosen(12, "(l)"), chosen(2, " a ")]), [
    { logits: upTo(4), answer: 1, target: 0 },
    { logits: upTo(12), answer: 11, target: 0 },
    { logits: upTo(2), answer: 0, target: 0 },
  ]);
  // The letters are asked for as they stand in an answer: behind a blank.
  assertEquals(model.asked, [[..."abcdefghijkl"].map((letter) => ` ${letter}`)]);
});

Deno.test("choiceLogits() keeps the order of rows whose answers follow different words", async () => {
  const model = new Letters();
  const rows = [chosen(2, "a"), chosen(3, "b", "\nEnding:"), chosen(4, "c"), chosen(4, "d")];
  assertEquals((await ask(model, rows)).map(({ logits }) => logits.length), [2, 3, 4, 4]);
  assertEquals(model.asked.map(({ length }) => length), [2, 3, 4]);
});

Deno.test("choiceLogits() has no index for an answer that is no option", async () => {
  const rows = [chosen(2, "c"), chosen(2, ""), chosen(2, "ab")];
  assertEquals((await ask(new Letters(), rows)).map(({ answer }) => answer), [null, null, null]);
});

for (
  const { what, row } of [
    { what: "lists no options", row: { ...chosen(2, "a"), context: "Question: Which?" } },
    { what: "lists one option", row: chosen(1, "a") },
    { what: "is none of a, b", row: { ...chosen(2, "a"), target: "e" } },
  ]
) {
  Deno.test(`choiceLogits() refuses a question that ${what}, naming the row`, async () => {
    const error = await assertRejects(() => ask(new Letters(), [chosen(2, "b"), row]), UserError);
    assertStringIncludes(error.what, what);
    assertEquals([error.kind, error.where], ["data", `row ${row.id}`]);
  });
}

Deno.test("choiceLogits() refuses a tokenizer that has no token for a letter behind an answer's words", async () => {
  const model = new Letters();
  const split = {
    ...model.tokenizer,
    encode: (text: string) => [...text].map((letter) => letter.codePointAt(0)!),
  };
  const spelled = Object.assign(Object.create(model), { tokenizer: split });
  await assertRejects(() => ask(spelled, [chosen(2, "b")]), UserError, 'The answer "a" has 2 tokens');
});
