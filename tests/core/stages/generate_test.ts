import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import { type Prompt, promptText } from "../../../core/records.ts";
import { type AnswerOptions, generateAnswers, writeAnswers } from "../../../core/stages/generate.ts";
import { FakeModel, type FakeModelOptions } from "../../../core/testing/fake_model.ts";
import type { Continuation, GenerationOptions, PromptStyle, TextModel } from "../../../core/types.ts";
import { oe } from "../../../plugins/prompt_styles/oe.ts";
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
    { index: 0, answer: { ...prompt("a"), output: "Apples," }, tokens: [6, 7, 8], meanLogprob: 0 },
    { index: 1, answer: { ...prompt("b"), output: "Bread." }, tokens: [9], meanLogprob: 0 },
  ]);
});

Deno.test("generateAnswers() refuses a clean-up that gives no text, naming the style and the row", async () => {
  const cleanUp = () => undefined as unknown as string;
  const answers = generateAnswers(new FakeModel(), [prompt("a")], { ...style, cleanUp }, OPTIONS);
  const { kind, what, where } = await assertRejects(() => all(answers), UserError);
  assertEquals([kind, what, where], [
    "plugin",
    'Prompt style "first-word" gave undefined as an answer',
    "cleanUp() of row a",
  ]);
});

/** A tokenizer of bytes, and a model that writes a text with it. */
function bytewise(text: string): FakeModel {
  const model = new FakeModel({ answer: () => text, contextLength: 2 ** 20 });
  const tokenizer = {
    ...model.tokenizer,
    encode: (text: string) => [...new TextEncoder().encode(text)],
    decode: (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids)),
  };
  return Object.assign(model, { tokenizer });
}

/** What a reader sees of an answer, as it grows. */
async function growth(text: string, change: Partial<AnswerOptions & PromptStyle> = {}) {
  const seen: string[] = [];
  const onText = (_: number, answer: string) => {
    if (answer !== seen.at(-1)) seen.push(answer);
  };
  const options = { ...OPTIONS, maxNewTokens: 100, onText, ...change };
  const [{ answer, tokens }] = await all(
    generateAnswers(bytewise(text), [prompt("a")], { ...style, cleanUp: (text) => text, ...change }, options),
  );
  return { seen, output: answer.output, tokens: tokens.length };
}

Deno.test("generateAnswers() shows an answer as it grows, never the half of a character", async () => {
  assertEquals((await growth("aß😀é")).seen, ["a", "aß", "aß😀", "aß😀é"]);
});

Deno.test("generateAnswers() keeps a character that the model really left in half", async () => {
  const { seen, output } = await growth("a\uFFFDb\uFFFD");
  assertEquals({ seen, output }, { seen: ["a", "a\uFFFDb"], output: "a\uFFFDb\uFFFD" });
});

Deno.test("generateAnswers() shows an answer cleaned up, as it will be given", async () => {
  assertEquals((await growth(" an apple", { cleanUp: style.cleanUp })).seen, ["", "a", "an"]);
});

Deno.test("generateAnswers() stops where the style says that the answer is complete, and gives the same one", async () => {
  const firstLine: Partial<PromptStyle> = { cleanUp: (output) => output.split("\n")[0] };
  const whole = await growth("one\ntwo\nthree", firstLine);
  const stopped = await growth("one\ntwo\nthree", {
    ...firstLine,
    isComplete: (text) => text.includes("\n"),
  });
  assertEquals([whole.output, whole.tokens], ["one", 13]);
  assertEquals([stopped.output, stopped.tokens], ["one", 4]);
});

Deno.test("generateAnswers() ends an answer as it is when it is told to", async () => {
  const stop = new AbortController();
  const onText = (_: number, answer: string) => {
    if (answer === "abc") stop.abort();
  };
  const { output, tokens } = await growth("abcdef", { onText, signal: stop.signal });
  assertEquals([output, tokens], ["abc", 3]);
});

Deno.test("generateAnswers() has the model read what stands for a prompt, if that is not its text", async () => {
  const answer = (text: string) => `echo:${text}`;
  const model = new FakeModel({ answer });
  const encode = ({ id }: Prompt, limit: number) => model.tokenizer.encode(`${id}/${limit}`);
  const [{ answer: { output } }] = await all(
    generateAnswers(model, [prompt("a")], style, { ...OPTIONS, encode }),
  );
  assertEquals(output, "echo:a/4092");
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
        const tokens = this.tokenizer.encode(`to-${index}`);
        yield await Promise.resolve({ index, tokens, logprob: 0, drawn: 1 });
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

const GREEDY = { maxNewTokens: 7, temperature: 0, topP: 1, seed: 1 };

Deno.test("writeAnswers() has a model that gives text alone answer as many prompts at once as it allows, and cleans up", async () => {
  let running = 0, most = 0;
  const prepared: string[][] = [];
  const model: TextModel = {
    name: "remote",
    concurrency: 2,
    prepare: (prompts) => Promise.resolve(void prepared.push([...prompts])),
    async write(prompt, { maxNewTokens }) {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      return `\n${prompt.length} ${maxNewTokens}\nmore`;
    },
  };
  const prompts = ["a", "b", "c", "d", "e"].map((id) => generation(id));
  const outputs: string[] = [];
  for await (const { index, answer } of writeAnswers(model, prompts, oe, GREEDY)) {
    outputs[index] = answer.output;
  }
  assertEquals(outputs, prompts.map((prompt) => `${promptText(prompt).length} 7`));
  assertEquals([most, prepared], [2, [prompts.map(promptText)]]);
});

Deno.test("writeAnswers() names the model and the row where the model throws, and passes on what users can act on", async () => {
  const failing = (error: Error): TextModel => ({ name: "acme:x", write: () => Promise.reject(error) });
  const answer = (error: Error) =>
    Array.fromAsync(writeAnswers(failing(error), [generation("a")], oe, GREEDY));
  const thrown = await assertRejects(
    () => answer(new Error("oops")),
    UserError,
    'Model "acme:x" threw: oops',
  );
  assertEquals([thrown.kind, thrown.where], ["plugin", "row a"]);
  const own = new UserError({ kind: "data", what: "no", where: "there", fix: "do" });
  assertEquals(await assertRejects(() => answer(own), UserError), own);
});
