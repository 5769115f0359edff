import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import {
  type ChatBody,
  ChatClient,
  type ChatClientOptions,
  createRng,
  ReplyCache,
  UserError,
} from "../../../core/mod.ts";
import { FakeEndpoint, type FakeReply } from "../../../core/testing/mod.ts";
import { withFolder } from "../../plugins/_folders.ts";

const KEY = "secret-of-the-user-1234567890";

const body = (content: string): ChatBody => ({ model: "judge", messages: [{ role: "user", content }] });

/** The requests of this number of bodies, by key. */
const requests = (client: ChatClient, count: number) =>
  new Map(
    Array.from({ length: count }, (_, index) => body(`question ${index}`)).map((
      body,
    ) => [client.key(body), body]),
  );

const echo = ({ messages }: { messages: { content: string }[] }) =>
  messages[0].content.replace("question", "reply");

/** Asks in batches, as often as it is told to, each time as another program; a program may be killed when it waits. */
async function ask(
  endpoint: FakeEndpoint,
  folder: string,
  count: number,
  options: Partial<ChatClientOptions> & { readonly killed?: boolean } = {},
) {
  using cache = await ReplyCache.open(folder, endpoint.url, "judge");
  const clock = {
    now: () => 0,
    sleep: () => options.killed ? Promise.reject(new Error("killed")) : Promise.resolve(),
    rng: createRng(1),
  };
  const all = { concurrency: 4, timeoutMs: 5000, replyTokens: 1, version: 1, clock, cache, ...options };
  const client = new ChatClient({ baseUrl: endpoint.url, key: KEY }, all);
  const bodies = requests(client, count), seen: string[] = [];
  await client.askInBatches(bodies, {
    update: (done, total, note) => void seen.push(`${done}/${total} ${note}`),
  });
  const there = [...bodies.keys()].filter((key) => client.has(key)).length;
  const replies = there === count
    ? await Promise.all([...bodies.values()].map((body) => client.complete(body)))
    : [];
  return { there, texts: replies.map(({ text }) => text), seen, usage: client.usage() };
}

/** How often something was done at the endpoint. */
const count = (endpoint: FakeEndpoint, method: string, path: string) =>
  endpoint.seen.filter((request) => request.method === method && request.path === path).length;

/** Where batches under way are recorded. */
async function batchesOf(endpoint: FakeEndpoint, folder: string): Promise<string> {
  using cache = await ReplyCache.open(folder, endpoint.url, "judge");
  return `${cache.path}.batches`;
}

const filesIn = async (folder: string) =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);

Deno.test("askInBatches() uploads the requests, waits, and has each reply under its request, for half the price", async () => {
  await withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start(echo);
    const { texts, seen, usage } = await ask(endpoint, folder, 5, { price: { input: 1e6, output: 2e6 } });
    assertEquals(texts, [0, 1, 2, 3, 4].map((index) => `reply ${index}`));
    assertEquals(seen, ["0/5 validating", "5/5 completed"]);
    // Three tokens read and two written for each.
    assertEquals([usage.requests, usage.cost], [5, 5 * (3 + 2 * 2) / 2]);
    assertEquals(await filesIn(await batchesOf(endpoint, folder)), []);
    await ask(endpoint, folder, 5);
    assertEquals(count(endpoint, "POST", "/batches"), 1, "asked again");
  });
});

Deno.test("askInBatches() goes on with the batch of a program that was killed, and asks for nothing twice", async () => {
  await withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start(echo);
    await assertRejects(() => ask(endpoint, folder, 3, { killed: true }), Error, "killed");
    // What is recorded says which batch it was; the key is in no file.
    const batches = await batchesOf(endpoint, folder), [name] = await filesIn(batches);
    const record = await Deno.readTextFile(join(batches, name));
    assertStringIncludes(record, "batch-1");
    assert(!record.includes(KEY));
    assertEquals((await ask(endpoint, folder, 4)).texts.length, 4);
    assertEquals(count(endpoint, "POST", "/batches"), 2, "one for what was new");
    assertEquals(endpoint.seen.filter(({ path }) => path === "/chat/completions"), []);
  });
});

Deno.test("askInBatches() finds a batch whose number was lost with the program that began it", async () => {
  await withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start(echo);
    await assertRejects(() => ask(endpoint, folder, 3, { killed: true }), Error, "killed");
    const batches = await batchesOf(endpoint, folder), [name] = await filesIn(batches);
    const path = join(batches, name);
    const { batch: _, ...record } = JSON.parse(await Deno.readTextFile(path));
    await Deno.writeTextFile(path, JSON.stringify(record));
    assertEquals((await ask(endpoint, folder, 3)).texts.length, 3);
    assertEquals(count(endpoint, "POST", "/batches"), 1);
  });
});

for (const [path, what] of [["/files", "id"], ["/batches", "id"], ["/batches/b", "status"]]) {
  Deno.test(`askInBatches() refuses an endpoint whose reply to ${path} has no ${what}`, () =>
    withFolder(async (folder) => {
      const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ method, url }) => {
        const asked = new URL(url).pathname.slice("/v1".length);
        if (asked === path && (method === "POST") === (what === "id")) {
          return Response.json({ object: "page\n\n" });
        }
        return Response.json({ id: "b", data: [], status: "in_progress" });
      });
      const endpoint = { url: `http://127.0.0.1:${server.addr.port}/v1` } as FakeEndpoint;
      const error = await assertRejects(() => ask(endpoint, folder, 1), UserError);
      assertEquals([error.kind, error.what], [
        "data",
        `The endpoint does not answer: a reply about batches has no "${what}"`,
      ]);
      await server.shutdown();
    }));
}

Deno.test("askInBatches() uploads anew what was uploaded for a batch that never began", async () => {
  await withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start(echo);
    const batches = await batchesOf(endpoint, folder);
    await Deno.mkdir(batches);
    await Deno.writeTextFile(
      join(batches, "file-9.json"),
      JSON.stringify({ inputFile: "file-9", requests: 3 }),
    );
    assertEquals((await ask(endpoint, folder, 3)).texts.length, 3);
    assertEquals([count(endpoint, "POST", "/batches"), await filesIn(await batchesOf(endpoint, folder))], [
      1,
      [],
    ]);
  });
});

Deno.test("askInBatches() keeps what came where a batch expires or requests fail, and takes a refusal for a reply", async () => {
  await withFolder(async (folder) => {
    const replies: FakeReply[] = [
      "fine",
      { status: 500, body: { error: { message: KEY } } },
      { status: 400, body: { error: { code: "context_length_exceeded", message: "too long" } } },
      { never: "answers" },
      { body: { nonsense: true } },
    ];
    await using endpoint = FakeEndpoint.start(({ messages }) => replies[Number(messages[0].content.at(-1))]);
    const { there, seen } = await ask(endpoint, folder, 5);
    assertEquals([there, seen.at(-1)], [2, "4/5 expired"]);
  });
});

Deno.test("askInBatches() begins no batch that would cost more than it may", async () => {
  await withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start(echo);
    const asking = ask(endpoint, folder, 5, { price: { input: 1e6, output: 1e6 }, maxCost: 1 });
    assertEquals((await assertRejects(() => asking, UserError)).kind, "limit");
    assertEquals(endpoint.seen, []);
  });
});

Deno.test("askInBatches() says so where an endpoint has no batches", async () => {
  await withFolder(async (folder) => {
    const refused = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => Response.json({ error: { message: `no files, ${KEY}` } }, { status: 404 }),
    );
    const endpoint = { url: `http://127.0.0.1:${refused.addr.port}/v1` } as FakeEndpoint;
    const error = await assertRejects(() => ask(endpoint, folder, 1), UserError);
    assertEquals([error.kind, error.message.includes(KEY)], ["usage", false]);
    await refused.shutdown();
  });
});
