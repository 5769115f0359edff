import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import type { Prompt } from "../../../core/records.ts";
import { generateAnswers } from "../../../core/stages/generate.ts";
import { FakeModel, type FakeModelOptions } from "../../../core/testing/fake_model.ts";
import type { Continuation, GenerationOptions, PromptStyle } from "../../../core/types.ts";
import { all } from "../../plugins/_folders.ts";
import { generation } from "../_samples.ts";

const style: PromptStyle = {
  kind: "prompt-style",
  name: "first-word",
  version: 1,
  description: "The answer is the first word",
  defaults: {},
  maxNewTokens: 4,
  render: () => prompt("unused"),
  cleanUp: (output) => output.trim().split(" ")[0],
};

function prompt(id: string): Prompt {
  const { output: _, ...rest } = generation(id);
  return rest;
}

const OPTIONS: GenerationOptions = { maxNewTokens: 4, batchSize: 2, temperature: 0, topP: 1, seed: 137 };

const generate = (
  prompts: readonly Prompt[],
  model: FakeModel | FakeModelOptions,
  options: Partial<GenerationOptions> = {},
) =>
  all(
    generateAnswers(
      model instanceof FakeModel ? model : new FakeModel(model),
      prompts,
      style,
      { ...OPTIONS, ...options },
    ),
  );

Deno.test("generateAnswers() gives each prompt the answer in what the model wrote", async () => {
  const answer = (text: string) => text.includes("What is a?") ? " Apples, I think." : " Bread.";
  assertEquals(await generate([prompt("a"), prompt("b")], { answer }), [
    { index: 0, answer: { ...prompt("a"), output: "Apples," } },
    { index: 1, answer: { ...prompt("b"), output: "Bread." } },
  ]);
});

Deno.test("generateAnswers() has the model continue the prompt's text, without its target", async () => {
  const seen: string[] = [];
  await generate([{ ...prompt("a"), prompt: "Examples.\n\n" }], {
    answer: (text) => {
      seen.push(text);
      return "x";
    },
  });
  assertEquals(seen, ["Examples.\n\nQuestion: What is a?\nAnswer:"]);
});

Deno.test("generateAnswers() passes answers on as they are finished, with the index of their prompt", async () => {
  class Backwards extends FakeModel {
    override async *generate(prompts: readonly (readonly number[])[]): AsyncIterable<Continuation> {
      for (const index of prompts.keys().toArray().reverse()) {
        yield await Promise.resolve({ index, tokens: this.tokenizer.encode(`to-${index}`), logprob: 0 });
      }
    }
  }
  const answers = await generate([prompt("a"), prompt("b")], new Backwards());
  assertEquals(answers.map(({ index, answer }) => [index, answer.id, answer.output]), [
    [1, "b", "to-1"],
    [0, "a", "to-0"],
  ]);
});

Deno.test("generateAnswers() gives an empty answer where the model writes nothing", async () => {
  assertEquals((await generate([prompt("a")], {}))[0].answer.output, "");
});

// The prompt of the samples has five words.

Deno.test("generateAnswers() takes a prompt that leaves just enough room for the answer", async () => {
  assertEquals((await generate([prompt("a")], { contextLength: 9 })).length, 1);
});

Deno.test("generateAnswers() refuses a prompt that leaves too little room, before any is answered", async () => {
  const answer = () => {
    throw new Error("answered in vain");
  };
  const long = { ...prompt("b"), context: "Question: What is it, then?" };
  const error = await assertRejects(
    () => generate([prompt("a"), long], { contextLength: 9, answer }),
    UserError,
  );
  assertEquals([error.kind, error.what], ["data", "The text has 6 tokens, but the model reads at most 5"]);
  assertEquals(error.where.startsWith("row b, "), true);
});

for (const maxNewTokens of [8, 9]) {
  Deno.test(`generateAnswers() refuses ${maxNewTokens} new tokens of a model that reads 8, naming the flag`, async () => {
    const error = await assertRejects(
      () => generate([prompt("a")], { contextLength: 8 }, { maxNewTokens }),
      UserError,
    );
    assertEquals([error.kind, error.where, error.fix], ["usage", "--max-new-tokens", "use less than 8"]);
  });
}
