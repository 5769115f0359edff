import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  fuzzy,
  type FuzzyOptions,
  type LabelerContext,
  OpenLabeler,
  resolveOptions,
  UserError,
} from "@credence/credence";
import { FakeEndpoint, type FakeReply } from "@credence/credence/testing";
import { withFolder } from "../_folders.ts";

const KEY = "secret-of-the-user-1234567890";

/** Runs with a fake endpoint in the environment. */
async function graded<T>(
  reply: (content: string, index: number) => FakeReply,
  work: (endpoint: FakeEndpoint, context: LabelerContext, said: string[]) => Promise<T>,
): Promise<T> {
  return await withFolder(async (cacheDir) => {
    await using endpoint = FakeEndpoint.start(({ messages }, index) => reply(messages[1].content, index));
    const before = ["OPENAI_BASE_URL", "OPENAI_API_KEY"].map((name) => [name, Deno.env.get(name)] as const);
    Deno.env.set("OPENAI_BASE_URL", endpoint.url);
    Deno.env.set("OPENAI_API_KEY", KEY);
    const said: string[] = [];
    const context = { argument: "judge", cacheDir, warn: (text: string) => void said.push(text) };
    try {
      return await work(endpoint, context as unknown as LabelerContext, said);
    } finally {
      for (const [name, value] of before) {
        value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
      }
    }
  });
}

const open = (context: LabelerContext, options: Partial<FuzzyOptions> = {}) =>
  OpenLabeler.open(fuzzy, resolveOptions(fuzzy, options), context);

const asked = (answer: string) => ({ question: "Where?", target: "Paris", answer });

Deno.test("fuzzy asks at temperature 0 for a short reply, and takes yes for 1 and no for 0", async () => {
  await graded((content) => content.includes("answer: Paris") ? "Yes" : "No.", async (endpoint, context) => {
    const labeler = await open(context);
    assertEquals([await labeler.label(asked("Paris")), await labeler.label(asked("Rome"))], [1, 0]);
    const { model, temperature, max_tokens, messages, response_format } = endpoint.seen[0].body;
    assertEquals([model, temperature, max_tokens, messages.length, response_format], [
      "judge",
      0,
      16,
      2,
      undefined,
    ]);
    await labeler.close();
  });
});

for (const reply of ["yes and no", "", "Yes, I think so"]) {
  Deno.test(`fuzzy asks once more where a grader says ${JSON.stringify(reply)}, then is undecided`, async () => {
    await graded(() => reply, async (endpoint, context) => {
      const labeler = await open(context);
      assertEquals([await labeler.label(asked("Rome")), endpoint.seen.length], [null, 2]);
      assertEquals(labeler.usage().undecided, 1);
      assertStringIncludes(labeler.note(), "1 undecided");
      assertEquals([await labeler.label(asked("Rome")), endpoint.seen.length], [null, 2], "asked again");
      await labeler.close();
    });
  });
}

Deno.test("fuzzy takes the second reply where the first was neither yes nor no", async () => {
  await graded((_, index) => index === 0 ? "Hm." : "No", async (_, context) => {
    const labeler = await open(context);
    assertEquals([await labeler.label(asked("Rome")), labeler.usage().undecided], [0, 0]);
    await labeler.close();
  });
});

Deno.test("fuzzy leaves undecided what is too long or filtered, and asks no second time", async () => {
  const refusal = { status: 400, body: { error: { message: "no", code: "context_length_exceeded" } } };
  await graded(() => refusal, async (endpoint, context) => {
    const labeler = await open(context);
    assertEquals([await labeler.label(asked("Rome")), endpoint.seen.length], [null, 1]);
    await labeler.close();
  });
});

Deno.test("fuzzy has the endpoint reply in JSON where it is told to", async () => {
  await graded(() => '{"answer": "yes"}', async (endpoint, context) => {
    const labeler = await open(context, { structured: true, maxTokens: 0 });
    assertEquals(await labeler.label(asked("Paris")), 1);
    const { response_format, max_tokens } = endpoint.seen[0].body;
    assertEquals([response_format.type, max_tokens], ["json_schema", undefined]);
    await labeler.close();
  });
});

Deno.test("fuzzy says before it begins what it will ask, and what that will cost", async () => {
  await graded(() => "Yes", async (_, context, said) => {
    const known = await open(context);
    await known.label(asked("Paris"));
    await known.close();
    const answers = ["Paris", "Rome", "Rome", "Bonn"].map(asked);
    for (const options of [{}, { priceInput: 10, priceOutput: 10 }]) {
      const labeler = await open(context, options);
      await labeler.prepare(answers, { update() {} });
      await labeler.close();
    }
    assertEquals(said, [
      "judge is asked about 2 answers: about 315 tokens, of a price that is not known; 2 more are known or alike.",
      "judge is asked about 2 answers: about 315 tokens, about $0.0032; 2 more are known or alike.",
    ]);
  });
});

Deno.test("fuzzy stops at its limit on cost, and goes on for nothing with what it had", async () => {
  await graded(() => "Yes", async (endpoint, context) => {
    const priced = { priceInput: 1000, priceOutput: 1000, maxCost: 1, concurrency: 1 };
    const answers = Array.from({ length: 20 }, (_, index) => asked(`${index}`));
    const labelAll = async () => {
      const labeler = await open(context, priced);
      let labeled = 0;
      try {
        for (const answer of answers) labeled += await labeler.label(answer) ?? 0;
      } catch (error) {
        assert(error instanceof UserError && error.kind === "limit", String(error));
      } finally {
        await labeler.close();
      }
      assert(labeler.usage().cost <= 1, `${labeler.usage().cost}`);
      return labeled;
    };
    const first = await labelAll(), second = await labelAll();
    assert(first > 0 && second > first, `${first}, then ${second}`);
    assertEquals(endpoint.seen.length, second);
  });
});

Deno.test("fuzzy refuses a key that the endpoint does not know, without showing it", async () => {
  const refusal = { status: 401, body: { error: { message: `Incorrect API key provided: ${KEY}` } } };
  await graded(() => refusal, async (_, context) => {
    const labeler = await open(context);
    const error = await assertRejects(() => labeler.label(asked("Rome")), UserError);
    assertEquals([error.kind, error.message.includes(KEY)], ["usage", false]);
    await labeler.close();
  });
});

Deno.test("fuzzy's endpoint decides its labels; how it is asked and paid for does not", async () => {
  await graded(() => "Yes", async (endpoint, context) => {
    assertEquals(await fuzzy.revision!(fuzzy.defaults, context), endpoint.url);
  });
  assertEquals(Object.keys(fuzzy.defaults).filter((key) => !fuzzy.incidental!.includes(key)), [
    "maxTokens",
    "structured",
  ]);
});
