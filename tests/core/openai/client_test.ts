import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  ChatClient,
  type ChatClientOptions,
  createRng,
  OPENAI_URL,
  ReplyCache,
  UserError,
} from "../../../core/mod.ts";
import { FakeEndpoint, type FakeReply } from "../../../core/testing/mod.ts";
import { withFolder } from "../../plugins/_folders.ts";

const KEY = "secret-of-the-user-1234567890";

/** A clock on which pauses take no time; it remembers them. */
function clock() {
  let now = 1_000_000;
  const pauses: number[] = [];
  return {
    pauses,
    now: () => now,
    sleep(milliseconds: number) {
      pauses.push(milliseconds);
      now += milliseconds;
      return Promise.resolve();
    },
    rng: createRng(1),
  };
}

const body = (content = "Is it?") => ({
  model: "judge",
  messages: [{ role: "user", content }],
  temperature: 0,
});

function clientOf(endpoint: FakeEndpoint, options: Partial<ChatClientOptions> = {}) {
  const all = { concurrency: 4, timeoutMs: 5000, replyTokens: 1, version: 1, clock: clock(), ...options };
  return new ChatClient({ baseUrl: endpoint.url, key: KEY }, all);
}

/** Says one reply after the other, the last for ever. */
const inTurn = (...replies: FakeReply[]) =>
  FakeEndpoint.start((_, index) => replies[Math.min(index, replies.length - 1)]);

const refused = (
  status: number,
  headers: Record<string, string> = {},
  code: string | null = null,
): FakeReply => ({
  status,
  headers,
  body: { error: { message: `no, ${KEY}`, type: "some_error", code, param: null } },
});

Deno.test("ChatClient sends the request as it is, with the key, and gives the reply", async () => {
  await using endpoint = inTurn("Yes");
  const reply = await clientOf(endpoint).complete(body());
  assertEquals(reply, { text: "Yes", finishReason: "stop", promptTokens: 2, completionTokens: 1 });
  const [{ path, headers, body: sent }] = endpoint.seen;
  assertEquals([path, sent, headers.get("authorization")], ["/chat/completions", body(), `Bearer ${KEY}`]);
});

for (
  const [what, failure] of [
    ["429", refused(429)],
    ["500", refused(500)],
    ["503 without a body", { status: 503 }],
    ["a time-out of the server", refused(408)],
    ["JSON that is cut off", { body: '{"choices": [' }],
    ["JSON that is no completion", { body: { object: "list" } }],
    ["a message of the wrong type", { body: { choices: [{ message: { content: 3 } }] } }],
    ["a page of HTML", { headers: { "content-type": "text/html" }, body: "<html>Welcome</html>" }],
    ["an empty body", { body: "" }],
    ["a cut connection", { never: "survives" }],
    ["a hang", { never: "answers" }],
    ["a hang within the body", { never: "finishes" }],
    ["an endpoint that never closes", { never: "ends" }],
  ] as [string, FakeReply][]
) {
  Deno.test(`ChatClient tries again after ${what}`, async () => {
    await using endpoint = inTurn(failure, failure, "Yes");
    const client = clientOf(endpoint, { timeoutMs: 60 });
    assertEquals((await client.complete(body())).text, "Yes");
    assertEquals([endpoint.seen.length, client.usage().retries, client.usage().requests], [3, 2, 1]);
  });
}

Deno.test("ChatClient gives up after some tries, and says how to go on", async () => {
  await using endpoint = inTurn(refused(500));
  const error = await assertRejects(() => clientOf(endpoint).complete(body()), UserError);
  assertEquals([error.kind, endpoint.seen.length], ["data", 8]);
  assertStringIncludes(error.fix, "it goes on where it was");
});

Deno.test("ChatClient gives up soon where nobody is there", async () => {
  const endpoint = inTurn("Yes"), client = clientOf(endpoint);
  await endpoint[Symbol.asyncDispose]();
  const error = await assertRejects(() => client.complete(body()), UserError);
  assertEquals([error.kind, client.usage().retries], ["data", 3]);
});

for (const never of ["answers", "finishes", "ends"] as const) {
  Deno.test(`ChatClient says that it waited in vain for an endpoint that never ${never}`, async () => {
    await using endpoint = inTurn({ never });
    const error = await assertRejects(
      () => clientOf(endpoint, { timeoutMs: 60 }).complete(body()),
      UserError,
    );
    assertEquals(error.what, "The endpoint does not answer: no whole reply came in time");
  });
}

Deno.test("ChatClient says in one line what an endpoint says in many", async () => {
  await using endpoint = inTurn({ status: 400, body: { error: { message: "no\n\n  such\r\nthing" } } });
  const error = await assertRejects(() => clientOf(endpoint).complete(body()), UserError);
  assertEquals(error.what, "The endpoint refuses the request: 400 no such thing");
});

Deno.test("ChatClient refuses a reply that never ends to fill the memory", async () => {
  const endless = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    const stream = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1 << 20).fill(32)),
    });
    return new Response(stream, { headers: { "content-type": "application/json" } });
  });
  const options = { concurrency: 1, timeoutMs: 60_000, replyTokens: 1, version: 1, clock: clock() };
  const client = new ChatClient({ baseUrl: `http://127.0.0.1:${endless.addr.port}/v1` }, options);
  const error = await assertRejects(() => client.complete(body()), UserError);
  assertStringIncludes(error.what, "longer than");
  await endless.shutdown();
});

for (
  const [status, code, kind] of [
    [400, null, "data"],
    [401, "invalid_api_key", "usage"],
    [403, null, "usage"],
    [404, "model_not_found", "usage"],
    [429, "insufficient_quota", "limit"],
  ] as const
) {
  Deno.test(`ChatClient does not repeat what got ${status} ${code ?? ""}`, async () => {
    await using endpoint = inTurn(refused(status, {}, code));
    const client = clientOf(endpoint);
    const error = await assertRejects(() => client.complete(body()), UserError);
    assertEquals([error.kind, endpoint.seen.length], [kind, 1]);
    await assertRejects(() => client.complete(body("another")), UserError, error.what);
    assertEquals(endpoint.seen.length, 1, "asked on after an error that does not pass");
  });
}

for (
  const [code, finishReason] of [["context_length_exceeded", "length"], ["content_filter", "content_filter"]]
) {
  Deno.test(`ChatClient takes ${code} for the end of this one request`, async () => {
    await using endpoint = inTurn(refused(400, {}, code), "Yes");
    const client = clientOf(endpoint);
    assertEquals((await client.complete(body("a"))).finishReason, finishReason);
    assertEquals((await client.complete(body("b"))).text, "Yes");
  });
}

for (
  const [headers, pause] of [
    [{ "retry-after": "120" }, 120_000],
    [{ "retry-after-ms": "250" }, 250],
    [{ "retry-after": new Date(1_007_000).toUTCString() }, 7000],
    [{ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s" }, 62_500],
    [{ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms" }, 120],
  ] as const
) {
  Deno.test(`ChatClient waits as long as ${JSON.stringify(headers)} asks for`, async () => {
    await using endpoint = inTurn(refused(429, headers), "Yes");
    const time = clock();
    assertEquals((await clientOf(endpoint, { clock: time }).complete(body())).text, "Yes");
    assertEquals(time.pauses[0], pause);
  });
}

Deno.test("ChatClient does not wait for hours", async () => {
  await using endpoint = inTurn(refused(429, { "retry-after": "7200" }));
  await assertRejects(() => clientOf(endpoint).complete(body()), UserError);
  assertEquals(endpoint.seen.length, 1);
});

Deno.test("ChatClient waits before it is refused when a reply says that nothing is left", async () => {
  const headers = { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "3s" };
  await using endpoint = inTurn({ headers, body: { choices: [{ message: { content: "Yes" } }] } }, "No");
  const time = clock(), client = clientOf(endpoint, { clock: time });
  await client.complete(body("a"));
  assertEquals(time.pauses, []);
  await client.complete(body("b"));
  assertEquals(time.pauses, [3000]);
});

Deno.test("ChatClient draws its pauses from ranges that double, up to half a minute", async () => {
  await using endpoint = inTurn(refused(500));
  const time = clock(), draws = createRng(1);
  await assertRejects(() => clientOf(endpoint, { clock: time }).complete(body()), UserError);
  const ranges = [500, 1000, 2000, 4000, 8000, 16_000, 30_000];
  assertEquals(time.pauses, ranges.map((range) => range * draws.random()));
});

Deno.test("ChatClient has no more requests under way than it may", async () => {
  let running = 0, most = 0;
  await using endpoint = FakeEndpoint.start(async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running--;
    return "Yes";
  });
  const client = clientOf(endpoint, { concurrency: 3 });
  await Promise.all(Array.from({ length: 12 }, (_, index) => client.complete(body(`${index}`))));
  assertEquals([most, endpoint.seen.length], [3, 12]);
});

Deno.test("ChatClient asks once for the same request, at once or later, and again for a repeat", async () => {
  await withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start((_, index) => `reply ${index}`);
    using cache = await ReplyCache.open(folder, endpoint.url, "judge");
    const client = clientOf(endpoint, { cache });
    const texts = (await Promise.all([client.complete(body()), client.complete(body())])).map(({ text }) =>
      text
    );
    assertEquals(texts, ["reply 0", "reply 0"]);
    assertEquals((await client.complete(body())).text, "reply 0");
    assertEquals((await client.complete(body(), 1)).text, "reply 1");
    assertEquals((await client.complete({ ...body(), temperature: 1 })).text, "reply 2");
    assertEquals([client.usage().requests, client.usage().cached], [3, 1]);
    using again = await ReplyCache.open(folder, endpoint.url, "judge");
    assertEquals((await clientOf(endpoint, { cache: again }).complete(body(), 1)).text, "reply 1");
    assertEquals((await clientOf(endpoint, { cache: again, version: 2 }).complete(body())).text, "reply 3");
  });
});

Deno.test("ChatClient counts tokens and dollars, and the cache's replies as neither", async () => {
  await withFolder(async (folder) => {
    await using endpoint = inTurn("Yes");
    using cache = await ReplyCache.open(folder, endpoint.url, "judge");
    const client = clientOf(endpoint, { cache, price: { input: 1e6, output: 5e6 } });
    for (const text of ["12345678", "12345678", "1234"]) await client.complete(body(text));
    assertEquals(client.usage(), {
      requests: 2,
      cached: 1,
      retries: 0,
      promptTokens: 3,
      completionTokens: 2,
      cost: 13,
    });
    assertEquals(client.note(), "5 tokens  $13.00");
  });
});

Deno.test("ChatClient stops before it costs more than it may, and keeps what was answered", async () => {
  await using endpoint = inTurn("Yes");
  // A request reads two tokens and writes one: $0.03.
  const client = clientOf(endpoint, {
    price: { input: 10_000, output: 10_000 },
    maxCost: 0.5,
    concurrency: 50,
  });
  const asked = Array.from(
    { length: 50 },
    (_, index) => client.complete(body(`number ${index}`.slice(0, 8))),
  );
  const done = (await Promise.allSettled(asked)).filter(({ status }) => status === "fulfilled").length;
  assert(done > 0 && client.usage().cost! <= 0.5, `${done} cost ${client.usage().cost}`);
  const error = await assertRejects(() => client.complete(body("one more")), UserError);
  assertEquals([error.kind, error.exitCode], ["limit", 5]);
  assertStringIncludes(error.fix, "--max-cost");
});

Deno.test("ChatClient asks for a key where there must be one", () => {
  const options = { concurrency: 1, timeoutMs: 1, replyTokens: 1, version: 1 };
  const error = assertThrows(() => new ChatClient({ baseUrl: OPENAI_URL }, options), UserError);
  assertEquals([error.kind, error.what], ["usage", "OPENAI_API_KEY is not set"]);
});

Deno.test("ChatClient refuses a limit on a cost that it cannot know", async () => {
  await using endpoint = inTurn("Yes");
  const { fix } = assertThrows(() => clientOf(endpoint, { maxCost: 1 }), UserError);
  assertStringIncludes(fix, "--price-input");
});

Deno.test("ChatClient keeps the key out of replies, errors, the cache and itself", async () => {
  await withFolder(async (folder) => {
    await using endpoint = inTurn(`Your key is ${KEY}`, refused(401));
    using cache = await ReplyCache.open(folder, endpoint.url, "judge");
    const client = clientOf(endpoint, { cache });
    assertEquals((await client.complete(body())).text, "Your key is …");
    const error = await assertRejects(() => client.complete(body("b")), UserError);
    const kept = await Deno.readTextFile(cache.path);
    for (
      const text of [
        error.message,
        Deno.inspect(error, { depth: 9 }),
        Deno.inspect(client, { depth: 9 }),
        kept,
      ]
    ) {
      assert(!text.includes(KEY), text);
    }
  });
});
