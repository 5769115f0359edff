import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError } from "@credence/credence";
import { fetchFile, isWebAddress, type WebOptions } from "../../../../plugins/datasets/tables/web.ts";
import { withFolder } from "../../_folders.ts";

type Answer = (request: Request) => Response | Promise<Response>;

/** A server, and a folder for what is fetched from it. */
async function withServer<T>(
  answers: Readonly<Record<string, Answer>>,
  work: (base: string, folder: string, seen: Request[]) => Promise<T>,
): Promise<T> {
  const seen: Request[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    seen.push(request);
    const { pathname } = new URL(request.url);
    return answers[pathname]?.(request) ?? new Response("none", { status: 404 });
  });
  try {
    return await withFolder((folder) => work(`http://127.0.0.1:${server.addr.port}`, folder, seen));
  } finally {
    await server.shutdown();
  }
}

const TEXT = "question,answer\nWhich?,x\n";

/** A file with a tag, so that nobody needs it twice. */
const tagged = (text: string, etag: string): Answer => (request) =>
  request.headers.get("if-none-match") === etag
    ? new Response(null, { status: 304 })
    : new Response(text, { headers: { etag } });

// A folder of its own stands for a process of its own: within one, nothing is asked twice.
const fetchAgain = (url: string, folder: string, options: WebOptions = {}) =>
  fetchFile(url, { folder: `${folder}${"/.".repeat(turn++)}`, ...options });
let turn = 1;

Deno.test("isWebAddress() knows an address from a path", () => {
  assertEquals(["https://a.org/b.csv", "HTTP://a", "file:///a", "a.csv", "C:\\a"].map(isWebAddress), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

Deno.test("fetchFile() fetches a file once in a process, and asks in the next whether it has changed", async () => {
  const answers: Record<string, Answer> = { "/a.csv": tagged(TEXT, '"1"') };
  await withServer(answers, async (base, folder, seen) => {
    const url = `${base}/a.csv`, path = await fetchFile(url, { folder });
    assertEquals(await Deno.readTextFile(path), TEXT);
    await fetchFile(url, { folder });
    assertEquals(seen.length, 1);
    assertEquals(await Deno.readTextFile(await fetchAgain(url, folder)), TEXT);
    assertEquals(seen.map(({ headers }) => headers.get("if-none-match")), [null, '"1"']);
    answers["/a.csv"] = tagged("other", '"2"');
    assertEquals(await Deno.readTextFile(await fetchAgain(url, folder)), "other");
  });
});

Deno.test("fetchFile() fetches a file again that was damaged here", async () => {
  await withServer({ "/a.csv": tagged(TEXT, '"1"') }, async (base, folder) => {
    await Deno.writeTextFile(await fetchFile(`${base}/a.csv`, { folder }), "shorter");
    assertEquals(await Deno.readTextFile(await fetchAgain(`${base}/a.csv`, folder)), TEXT);
  });
});

Deno.test("fetchFile() offline takes what was fetched before, and says so where nothing was", async () => {
  await withServer({ "/a.csv": tagged(TEXT, '"1"') }, async (base, folder, seen) => {
    await fetchFile(`${base}/a.csv`, { folder });
    const path = await fetchAgain(`${base}/a.csv`, folder, { offline: true });
    assertEquals([await Deno.readTextFile(path), seen.length], [TEXT, 1]);
    const error = await assertRejects(
      () => fetchAgain(`${base}/b.csv`, folder, { offline: true }),
      UserError,
    );
    assertStringIncludes(error.what, "HF_HUB_OFFLINE");
  });
});

Deno.test("fetchFile() follows an address that leads to another on the web", async () => {
  const answers = {
    "/a": () => new Response(null, { status: 302, headers: { location: "/b" } }),
    "/b": () => new Response(TEXT),
  };
  await withServer(answers, async (base, folder) => {
    assertEquals(await Deno.readTextFile(await fetchFile(`${base}/a`, { folder })), TEXT);
  });
});

const leadsTo = (location: string): Answer => () =>
  new Response(null, { status: 307, headers: { location } });

/** A body that begins, and then sends nothing, or `piece` for ever. */
const endless = (piece?: Uint8Array<ArrayBuffer>): Answer => () =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("question")),
      pull: (controller) => piece ? controller.enqueue(piece) : new Promise(() => {}),
    }),
  );

for (
  const [what, answer, message, fix] of [
    [
      "an address where nothing is",
      () => new Response("no", { status: 404 }),
      "answers 404",
      "check the address",
    ],
    [
      "a server that wants a password",
      () => new Response("no", { status: 401 }),
      "answers 401",
      "download the file yourself",
    ],
    ["a server that fails", () => new Response("no", { status: 503 }), "answers 503", "try again later"],
    [
      "an address that leads to a file here",
      leadsTo("file:///etc/passwd"),
      "not on the web",
      "do not use it",
    ],
    ["an address that leads nowhere", leadsTo("http://"), "not on the web", "do not use it"],
    ["an address that leads to itself", leadsTo("/a"), "more than 10 times", "check the address"],
    ["a file that never ends", endless(new Uint8Array(1 << 16)), "does not end", "check the address"],
    ["a file that stops coming", endless(), "less than a kilobyte came", "check the network"],
  ] as const
) {
  Deno.test(`fetchFile() refuses ${what}, and keeps nothing of it`, async () => {
    await withServer({ "/a": answer }, async (base, folder) => {
      const options = { folder, stallMs: 300, mostBytes: 1 << 20 };
      const error = await assertRejects(() => fetchFile(`${base}/a`, options), UserError);
      assertEquals([error.kind, error.where], ["data", `${base}/a`]);
      assertStringIncludes(error.what, message);
      assertStringIncludes(error.fix, fix);
      const left = [...Deno.readDirSync(folder)].flatMap((
        { name },
      ) => [...Deno.readDirSync(`${folder}/${name}`)]);
      assertEquals(left, []);
    });
  });
}

Deno.test("fetchFile() says which right a program lacks", async () => {
  await withFolder(async (folder) => {
    const forbidden = () => Promise.reject(new Deno.errors.NotCapable("no"));
    const error = await assertRejects(
      () => fetchFile("https://example.org/a.csv", { folder, fetch: forbidden, offline: false }),
      UserError,
    );
    assertStringIncludes(error.what, "may not ask example.org");
    assertEquals(error.fix, "start it with --allow-net=example.org");
  });
});

Deno.test("fetchFile() refuses an address with a password in it, and does not repeat it", async () => {
  const error = await assertRejects(() => fetchFile("https://me:secret@example.org/a.csv"), UserError);
  assertEquals([error.kind, error.where], ["usage", "https://example.org/a.csv"]);
});
