import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { openai, type OpenAiOptions, type TextOptions, UserError } from "@credence/credence";
import { FakeEndpoint, type FakeReply } from "@credence/credence/testing";

const GREEDY: TextOptions = { maxNewTokens: 30, temperature: 0, topP: 1, seed: 137 };

/** Lends a model that an endpoint answers for, and what it warned of. */
async function withModel(
  reply: (body: { messages: { role: string; content: string }[] }, index: number) => FakeReply,
  options: Partial<OpenAiOptions>,
  work: (
    model: Awaited<ReturnType<typeof openai.open>>,
    endpoint: FakeEndpoint,
    warnings: readonly string[],
  ) => Promise<void>,
): Promise<void> {
  await using endpoint = FakeEndpoint.start(reply);
  const cacheDir = await Deno.makeTempDir(), warnings: string[] = [];
  Deno.env.set("OPENAI_BASE_URL", endpoint.url);
  try {
    const context = { argument: "some/model", cacheDir, warn: (text: string) => void warnings.push(text) };
    const model = await openai.open({ ...openai.defaults, ...options }, context);
    try {
      await work(model, endpoint, warnings);
    } finally {
      await model.close?.();
    }
  } finally {
    Deno.env.delete("OPENAI_BASE_URL");
    await Deno.remove(cacheDir, { recursive: true });
  }
}

const completion = (content: string | null, finish_reason: string) => ({
  body: {
    choices: [{ message: { content }, finish_reason }],
    usage: { prompt_tokens: 5, completion_tokens: 2 },
  },
});

Deno.test("openai asks by a chat: what it is told, then the prompt, greedily and with a limit", () =>
  withModel(() => "Paris", {}, async (model, endpoint) => {
    assertEquals(await model.write("Question: Capital of France?\nAnswer:", GREEDY), "Paris");
    const [{ path, body }] = endpoint.seen;
    assertEquals(path, "/chat/completions");
    assertEquals(body, {
      model: "some/model",
      messages: [
        { role: "system", content: openai.defaults.system },
        { role: "user", content: "Question: Capital of France?\nAnswer:" },
      ],
      max_tokens: 30,
      temperature: 0,
    });
  }));

Deno.test("openai sends what sampling takes, and says nothing to the model where it is to be told nothing", () =>
  withModel(() => "x", { system: "" }, async (model, endpoint) => {
    await model.write("Why?", { maxNewTokens: 5, temperature: 0.7, topP: 0.9, seed: 3 });
    assertEquals(endpoint.seen[0].body, {
      model: "some/model",
      messages: [{ role: "user", content: "Why?" }],
      max_tokens: 5,
      temperature: 0.7,
      top_p: 0.9,
      seed: 3,
    });
  }));

Deno.test("openai names the limit of a model that reasons in its way, and sends it no temperature", () =>
  withModel(() => "x", { reasoning: true }, async (model, endpoint) => {
    await model.write("Why?", GREEDY);
    const { max_completion_tokens, max_tokens, temperature } = endpoint.seen[0].body;
    assertEquals([max_completion_tokens, max_tokens, temperature], [30, undefined, undefined]);
  }));

Deno.test("openai asks the same only once, and says beforehand what it will ask", () =>
  withModel(() => "Paris", {}, async (model, endpoint, warnings) => {
    await model.write("Capital?", GREEDY);
    await model.prepare!(["Capital?", "River?", "River?"], GREEDY);
    assertEquals(warnings.length, 1);
    assertStringIncludes(warnings[0], "some/model is asked 1 questions: about ");
    assertStringIncludes(warnings[0], "; 2 more are known or alike.");
    await model.write("Capital?", GREEDY);
    await model.prepare!(["Capital?"], GREEDY);
    assertEquals([endpoint.seen.length, warnings.length], [1, 1]);
  }));

Deno.test("openai counts answers that were cut, and those that are empty, as of a filter or a refusal", () =>
  withModel(
    (_, index) =>
      [completion("a long", "length"), completion(null, "content_filter"), completion("x", "stop")][index],
    {},
    async (model) => {
      const answers = [];
      for (const prompt of ["a", "b", "c"]) answers.push(await model.write(prompt, GREEDY));
      assertEquals(answers, ["a long", "", "x"]);
      const { cut, empty, requests, promptTokens, completionTokens } = model.usage!();
      assertEquals({ cut, empty, requests }, { cut: 1, empty: 1, requests: 3 });
      assertEquals([promptTokens, completionTokens], [15, 6]);
      assertStringIncludes(model.note!(), "1 cut  1 empty");
    },
  ));

Deno.test("openai tries again what may pass, and passes on what does not", async () => {
  const faults: FakeReply[] = [{ status: 500 }, { status: 429, headers: { "retry-after-ms": "1" } }, "Paris"];
  await withModel((_, index) => faults[index], {}, async (model) => {
    assertEquals(await model.write("Capital?", GREEDY), "Paris");
    assertEquals(model.usage!().retries, 2);
  });
  await withModel(() => ({ status: 401, body: { error: { message: "no" } } }), {}, async (model) => {
    const error = await assertRejects(() => model.write("Capital?", GREEDY), UserError);
    assert(error.exitCode === 2 || error.exitCode === 4, error.message);
  });
});

Deno.test("openai stops at its limit on cost", () =>
  withModel(() => "x", { maxCost: 1e-9, priceInput: 1, priceOutput: 1 }, async (model) => {
    const error = await assertRejects(() => model.write("Capital?", GREEDY), UserError);
    assertEquals(error.kind, "limit");
  }));
