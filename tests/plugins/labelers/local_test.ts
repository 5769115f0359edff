import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type Label,
  type LabelerContext,
  type LanguageModel,
  local,
  type LocalOptions,
  OpenLabeler,
  resolveOptions,
  UserError,
} from "@credence/credence";
import { FakeModel, testLabeler } from "@credence/credence/testing";

/** How much likelier "No" is than each other word. */
const dislike = (text: string) => /answer: good/.test(text) ? -5 : /answer: unclear/.test(text) ? 0.1 : 5;

const { tokenizer } = new FakeModel();

/** What of a model a grader needs. */
function grader(
  evidence: (text: string) => number = dislike,
  parts: Partial<LanguageModel> = {},
): LanguageModel {
  const model: Pick<LanguageModel, "tokenizer" | "contextLength" | "tokenLogits"> = {
    tokenizer,
    contextLength: 4096,
    async *tokenLogits(sequences, tokens) {
      for (const sequence of sequences) {
        const score = evidence(tokenizer.decode(sequence));
        yield await Promise.resolve(tokens.map((_, index) => index === tokens.length - 1 ? score : 0));
      }
    },
  };
  return { ...model, ...parts } as LanguageModel;
}

const context = (model: LanguageModel) =>
  ({ argument: "judge", model: () => Promise.resolve(model) }) as unknown as LabelerContext;

const open = (model: LanguageModel, options: Partial<LocalOptions> = {}) =>
  OpenLabeler.open(local, resolveOptions(local, options), context(model));

const asked = (answer: string) => ({ question: "Which?", target: "the good", answer });

testLabeler(local, {
  context: context(grader()),
  options: { undecided: 0.05 },
  correct: [{ answer: "good", target: "x" }],
  wrong: [{ answer: "bad", target: "x" }],
  undecided: [{ answer: "unclear", target: "x" }],
});

Deno.test("local asks in the words of fuzzy, and gives P(yes) of all spellings to its threshold", async () => {
  const seen: string[] = [];
  const model = grader((text) => {
    seen.push(text);
    return 0;
  });
  // All as likely: P(yes) is one half.
  assertEquals(await (await open(model)).label(asked("it")), 1);
  assertEquals(await (await open(model, { threshold: 0.51 })).label(asked("it")), 0);
  assert(seen[0].startsWith("You are an automated grading assistant"), seen[0]);
  assertStringIncludes(seen[0], "Please answer yes or no without any explanation:");
  assert(seen[0].endsWith("Answer:"), seen[0]);
});

/** A model that counts its batches, which take a moment. */
function slow(sizes: number[], fail = false): LanguageModel {
  const { tokenLogits } = grader();
  let running = 0;
  return grader(dislike, {
    async *tokenLogits(...args) {
      assertEquals(++running, 1, "two batches at once");
      sizes.push(args[0].length);
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (fail) throw new Error("the device was lost");
      yield* tokenLogits(...args);
      running--;
    },
  });
}

Deno.test("local grades in batches, one after the other, the last however small it is", async () => {
  const sizes: number[] = [], labeler = await open(slow(sizes), { gradeBatch: 4 });
  const answers = Array.from({ length: 10 }, (_, index) => index % 3 === 0 ? "good" : "bad");
  const labels = await Promise.all(answers.map((answer) => labeler.label(asked(answer))));
  assertEquals(labels, answers.map((answer): Label => answer === "good" ? 1 : 0));
  assertEquals([sizes, labeler.concurrency], [[4, 4, 2], 4]);
});

Deno.test("local passes on what a model throws, to all of its batch", async () => {
  const labeler = await open(slow([], true));
  const asking = [labeler.label(asked("a")), labeler.label(asked("b"))];
  for (const one of asking) await assertRejects(() => one, UserError, "the device was lost");
});

Deno.test("local leaves undecided what is too long for its model, and counts it", async () => {
  const labeler = await open(grader(dislike, { contextLength: 20 }));
  assertEquals([await labeler.label(asked("good")), labeler.usage()], [null, { undecided: 1 }]);
});

Deno.test("local asks as a chat where the model has learnt to chat, without a system turn where there is none", async () => {
  for (const system of [true, false]) {
    const roles: string[][] = [];
    const chatting = {
      ...tokenizer,
      chat(messages: readonly { role: string; content: string }[]) {
        if (!system && messages[0].role === "system") throw new Error("roles must alternate");
        roles.push(messages.map(({ role }) => role));
        return tokenizer.encode(messages.map(({ content }) => content).join(" "));
      },
    };
    const labeler = await open(grader(dislike, { tokenizer: chatting }));
    await labeler.label(asked("good"));
    assertEquals(roles, [system ? ["system", "user"] : ["user"]]);
  }
});

Deno.test("local refuses a model whose tokenizer has no token for yes", async () => {
  const encode = (text: string) => [...text].map((letter) => letter.charCodeAt(0));
  const letters = grader(dislike, { tokenizer: { ...tokenizer, encode } });
  const error = await assertRejects(() => open(letters), UserError);
  assertEquals([error.kind, error.what], ["data", 'The tokenizer of judge has no token for "yes"']);
});
