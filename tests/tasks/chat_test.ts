import { assertAlmostEquals, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  type ChatMessage,
  type GenerationOptions,
  type Labeled,
  type LanguageModel,
  type Method,
  predictConfidence,
  type PromptStyle,
  UserError,
} from "../../core/mod.ts";
import { createRng, loraPrompt, oe } from "@credence/credence";
import { FakeModel, type FakeModelOptions } from "@credence/credence/testing";
import { choice } from "../../plugins/prompt_styles/choice.ts";
import { Chat, type ChatOptions, type Judge, UNTUNED } from "../../tasks/_chat.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";

const OPTIONS: ChatOptions = { temperature: 0, topP: 1, seed: 137 };

const chatWith = (model: LanguageModel, options: Partial<ChatOptions> = {}, style: PromptStyle = oe) =>
  new Chat(model, style, loraPrompt as unknown as Method, { ...OPTIONS, ...options });

/** A model that writes the same after everything, whose evidence of being right is 2. */
const fake = (options: FakeModelOptions = {}) =>
  new FakeModel({ answer: () => " blue", evidence: () => 2, ...options });

/** Does work with the folder of an adapter for the fake model, whose logit of "correct" is then 1. */
const withAdapter = (work: (judge: Judge) => Promise<void>) =>
  withFolder(async (checkpoint) => {
    const adapter = { options: { rank: 1, alpha: 1, dropout: 0, targetModules: ["q_proj"] }, weight: 0.5 };
    await writeFiles(checkpoint, { "fake_adapter.json": JSON.stringify(adapter) });
    await work({ name: "mine", checkpoint });
  });

const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit));

Deno.test("Chat asks the untuned model at first, the adapter it is given, and the model again", () =>
  withAdapter(async (judge) => {
    const chat = chatWith(fake());
    assertEquals([chat.judge, (await chat.ask("Why?")).pCorrect], [UNTUNED, 0.5]);
    await chat.useJudge(judge);
    assertAlmostEquals((await chat.ask("Why?")).pCorrect!, sigmoid(1), 1e-12);
    await chat.useJudge({ ...judge, calibrator: { kind: "temperature", temperature: 2 } });
    assertAlmostEquals((await chat.ask("Why?")).pCorrect!, sigmoid(0.5), 1e-12);
    await chat.useJudge(UNTUNED);
    assertEquals((await chat.ask("Why?")).pCorrect, 0.5);
  }));

Deno.test("Chat gives the confidence that the stage of evaluation gives for the question and its answer", () =>
  withAdapter(async (judge) => {
    const model = fake({ evidence: (text) => text.length / 50 });
    const chat = chatWith(model);
    await chat.useJudge({ ...judge, calibrator: { kind: "temperature", temperature: 3 } });
    const { answer, pCorrect } = await chat.ask("What colour has the sky?");
    const question = "What colour has the sky?";
    const prompt = oe.render({ id: "sky", split: "test", question, answer: "blue" }, [], {});
    const row: Labeled = { ...prompt, output: answer, label: 1 };
    const context = {
      options: loraPrompt.defaults,
      rng: createRng(1),
      batchSize: 32,
      progress: { update() {} },
      checkpoint: judge.checkpoint,
    };
    for await (
      const prediction of predictConfidence(model, [row], loraPrompt, context, {
        kind: "temperature",
        temperature: 3,
      })
    ) {
      assertEquals(pCorrect, prediction.pCorrect);
    }
  }));

Deno.test("Chat asks a method with the judge's options, and tells it whether the conversation is in a chat template", async () => {
  const asked: unknown[] = [];
  const method: Method = {
    kind: "method",
    name: "acme/told",
    version: 1,
    description: "Remembers what it is told",
    defaults: { confidence: "likelihood" },
    async *predict(_, rows, { options, chat }) {
      for (const _ of rows) {
        asked.push([options, chat]);
        yield await Promise.resolve(0.5);
      }
    },
  };
  const base = fake(), talking = fake();
  const tokenizer = { ...talking.tokenizer, chat: () => talking.tokenizer.encode("user: Why?") };
  for (const model of [base, Object.assign(talking, { tokenizer })]) {
    const chat = new Chat(model, oe, method, OPTIONS);
    await chat.ask("Why?");
    await chat.useJudge({ name: "calibrated", options: { confidence: "entropy" } });
    await chat.ask("Why?");
  }
  const [own, given] = [{ confidence: "likelihood" }, { confidence: "entropy" }];
  assertEquals(asked, [[own, false], [given, false], [own, true], [given, true]]);
});

Deno.test("Chat refuses an adapter that is of no use when it is given, and keeps the one before", () =>
  withAdapter(async (judge) => {
    const chat = chatWith(fake());
    await chat.useJudge(judge);
    await assertRejects(() => chat.useJudge({ name: "none", checkpoint: "no/such/folder" }), UserError);
    assertEquals(chat.judge, judge);
  }));

Deno.test("Chat refuses a prompt style that cannot word a question without choices, as wrong usage", () => {
  const error = assertThrows(() => chatWith(fake(), {}, choice), UserError);
  assertEquals([error.kind, error.where], ["usage", "--prompt-style"]);
  assertMatch(error.what, /^Prompt style "choice" cannot word a question that is typed: /);
});

Deno.test("Chat shows an answer as it grows, cleaned up, and counts the tokens that were written", async () => {
  const seen: string[] = [];
  const { answer, tokens, cut } = await chatWith(fake({ answer: () => " a b\nnot shown" }))
    .ask("Why?", (text) => seen.push(text));
  assertEquals({ seen, answer, tokens, cut }, {
    seen: ["a", "a b", "a b"],
    answer: "a b",
    tokens: 3,
    cut: false,
  });
});

Deno.test("Chat says that an answer was cut where the limit of tokens ended it, and not where it was complete", async () => {
  const cut = async (answer: string) =>
    (await chatWith(fake({ answer: () => answer }), { maxNewTokens: 3 }).ask("Why?")).cut;
  assertEquals([await cut("a b"), await cut("a b c"), await cut("a b c d"), await cut("a b\nc d")], [
    false,
    true,
    true,
    false,
  ]);
});

Deno.test("Chat lets a base model's answer have as many tokens as its prompt style says", async () => {
  const { tokens } = await chatWith(fake({ answer: () => "a ".repeat(50) })).ask("Why?");
  assertEquals(tokens, oe.maxNewTokens);
});

Deno.test("Chat ends an answer that is stopped as it is, without a confidence", async () => {
  const stop = new AbortController();
  const chat = chatWith(fake({ answer: () => "a b c d" }));
  const reply = await chat.ask("Why?", (text) => text === "a b" && stop.abort(), stop.signal);
  assertEquals([reply.answer, reply.pCorrect], ["a b", undefined]);
});

Deno.test("Chat takes a question that leaves just enough room, and refuses one that is a token longer", async () => {
  // "Question: … Answer:" of four words, and an answer of three.
  const chat = chatWith(fake({ contextLength: 7 + 40 }), { maxNewTokens: 43 });
  assertEquals((await chat.ask("one two")).answer, "blue");
  const error = await assertRejects(() => chat.ask("one two three"), UserError);
  assertEquals([error.kind, error.what], [
    "data",
    "The question has 5 tokens, but the model reads at most 4 before an answer",
  ]);
});

Deno.test("Chat draws anew for each question, and the same again from the same seed", async () => {
  const seeds: number[] = [];
  class Recording extends FakeModel {
    override generate(prompts: readonly (readonly number[])[], options: GenerationOptions) {
      seeds.push(options.seed);
      return super.generate(prompts, options);
    }
  }
  for (let run = 0; run < 2; run++) {
    const chat = chatWith(new Recording());
    await chat.ask("Why?");
    await chat.ask("Why?");
  }
  assertEquals(seeds.slice(2), seeds.slice(0, 2));
  assertEquals(new Set(seeds).size, 2);
});

// Models with a chat template.

/** A model with a chat template, and the chats that were put into it; a token a message. */
function chatModel({ system = true, ...options }: FakeModelOptions & { readonly system?: boolean } = {}) {
  const chats: (readonly ChatMessage[])[] = [];
  const model = fake(options);
  const template = (messages: readonly ChatMessage[]) => {
    if (!system && messages[0].role === "system") {
      throw new UserError({ kind: "data", what: "no system turn", where: "template", fix: "leave it out" });
    }
    chats.push(messages);
    return messages.map(() => 0);
  };
  return { chats, model: Object.assign(model, { tokenizer: { ...model.tokenizer, chat: template } }) };
}

const said = (chat: readonly ChatMessage[] | undefined) =>
  chat?.map(({ role, content }) => `${role}: ${content}`);

Deno.test("Chat puts the conversation into a chat model's template, under the research code's instruction", async () => {
  const { chats, model } = chatModel();
  const chat = chatWith(model);
  await chat.ask("What colour has the sky?");
  await chat.ask("And the sea?");
  assertMatch(chats[0][0].content, /^You are an expert who responds with concise, correct answers\./);
  assertEquals(said(chats.at(-1)?.slice(1)), [
    "user: What colour has the sky?",
    "assistant: blue",
    "user: And the sea?",
  ]);
});

Deno.test("Chat forgets the conversation when it is told to, and a stopped answer at once", async () => {
  const { chats, model } = chatModel();
  const chat = chatWith(model);
  await chat.ask("What?", undefined, AbortSignal.abort());
  await chat.ask("Why?");
  assertEquals(said(chats.at(-1)?.slice(1)), ["user: Why?"]);
  chat.clear();
  await chat.ask("How?");
  assertEquals(said(chats.at(-1)?.slice(1)), ["user: How?"]);
});

Deno.test("Chat gives the instruction in the first question where the template knows no system turn", async () => {
  const { chats, model } = chatModel({ system: false });
  const chat = chatWith(model);
  await chat.ask("What?");
  await chat.ask("Why?");
  const [first, ...rest] = chats.at(-1)!;
  assertMatch(first.content, /^You are an expert .*\n\nWhat\?$/s);
  assertEquals(said(rest), ["assistant: blue", "user: Why?"]);
});

Deno.test("Chat leaves out the oldest turns of a conversation that is too long", async () => {
  // Four messages fit: the instruction and a turn before the question.
  const { chats, model } = chatModel({ contextLength: 4 + 40 });
  const chat = chatWith(model, { maxNewTokens: 40 });
  for (const question of ["One?", "Two?", "Three?"]) await chat.ask(question);
  assertEquals(said(chats.at(-1)?.slice(1)), ["user: Two?", "assistant: blue", "user: Three?"]);
});

Deno.test("Chat keeps all lines of a chat model's answer", async () => {
  const { model } = chatModel({ answer: () => " one\n\ntwo " });
  assertEquals((await chatWith(model).ask("What?")).answer, "one\n\ntwo");
});
