import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { UserError } from "../../../core/errors.ts";
import { downloadSnapshot, listSnapshot, type SnapshotRequest } from "../../../core/hub/snapshot.ts";
import { COMMIT, gitHash, sha256 } from "./_fake_hub.ts";
import { CONFIG, REQUEST, WEIGHTS, withHub } from "./_with_hub.ts";

Deno.test("downloadSnapshot() lays files out as huggingface_hub does, at the commit of the revision", async () => {
  await withHub(async ({ root, download }) => {
    const { folder, commit } = await download();
    assertEquals([folder, commit], [join(root, "snapshots", COMMIT), COMMIT]);
    assertEquals(await Deno.readTextFile(join(root, "refs", "main")), COMMIT);
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
    assertEquals(await Deno.readLink(join(folder, "model.safetensors")), `../../blobs/${sha256(WEIGHTS)}`);
    const small = gitHash(new TextEncoder().encode(CONFIG));
    assertEquals(await Deno.readLink(join(folder, "config.json")), `../../blobs/${small}`);
    assertEquals([...Deno.readDirSync(join(root, "blobs"))].length, 2);
  });
});

Deno.test("downloadSnapshot() downloads nothing twice", async () => {
  await withHub(async ({ hub, download }) => {
    await download();
    const before = hub.requestsFor("model.safetensors").length;
    await download();
    assertEquals(hub.requestsFor("model.safetensors").length, before);
  });
});

Deno.test("downloadSnapshot() takes only the wanted files", async () => {
  await withHub(async ({ hub, download }) => {
    const { folder } = await download({ wanted: (path) => path === "config.json" });
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["config.json"]);
    assertEquals(hub.requestsFor("model.safetensors"), []);
  });
});

Deno.test("downloadSnapshot() keeps folders of a dataset, whose cache has a name of its own", async () => {
  await withHub(async ({ hub, settings, download }) => {
    hub.repositories["owner/data"] = { type: "dataset", files: { "a/b/rows.jsonl": "{}" } };
    const { folder } = await download({ type: "dataset", repo: "owner/data", revision: "v1" });
    assert(folder.startsWith(join(settings.cache, "datasets--owner--data")), folder);
    assertEquals(await Deno.readTextFile(join(folder, "a", "b", "rows.jsonl")), "{}");
    assertEquals(
      await Deno.readTextFile(join(settings.cache, "datasets--owner--data", "refs", "v1")),
      COMMIT,
    );
  });
});

Deno.test("downloadSnapshot() goes on where a connection broke, and gives the same bytes", async () => {
  await withHub(async ({ hub, download }) => {
    hub.faults["model.safetensors"] = [{ cutAfter: 30_000 }, { cutAfter: 50_000 }];
    const { folder } = await download();
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
    const ranges = hub.requestsFor("model.safetensors").filter(({ server }) => server === "cdn").map((
      { range },
    ) => range);
    assertEquals(ranges, [null, "bytes=30000-", "bytes=80000-"]);
  });
});

Deno.test("downloadSnapshot() goes on from what a killed download left", async () => {
  await withHub(async ({ hub, root, download }) => {
    await Deno.mkdir(join(root, "blobs"), { recursive: true });
    await Deno.writeFile(join(root, "blobs", `${sha256(WEIGHTS)}.incomplete`), WEIGHTS.slice(0, 99_000));
    const { folder } = await download();
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
    assertEquals(hub.requestsFor("model.safetensors").at(-1)?.range, "bytes=99000-");
  });
});

Deno.test("downloadSnapshot() begins anew where the server sends the whole file instead of the rest", async () => {
  await withHub(async ({ hub, root, download }) => {
    await Deno.mkdir(join(root, "blobs"), { recursive: true });
    await Deno.writeFile(join(root, "blobs", `${sha256(WEIGHTS)}.incomplete`), new Uint8Array(500));
    hub.faults["model.safetensors"] = [{ ignoreRange: true }];
    const { folder } = await download();
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
  });
});

Deno.test("downloadSnapshot() loads a file again whose hash is wrong, and refuses it the second time", async () => {
  await withHub(async ({ hub, root, download }) => {
    hub.faults["model.safetensors"] = [{ damaged: true }];
    assertEquals(await Deno.readFile(join((await download()).folder, "model.safetensors")), WEIGHTS);
    await Deno.remove(root, { recursive: true });
    hub.faults["model.safetensors"] = [{ damaged: true }, { damaged: true }];
    const error = await assertRejects(
      () => download(),
      UserError,
      "The download of model.safetensors is damaged",
    );
    assertEquals(error.kind, "data");
    const left = [...Deno.readDirSync(join(root, "blobs"))].map(({ name }) => name);
    assertEquals(left.filter((name) => name.startsWith(sha256(WEIGHTS))), [], "nothing of it is kept");
  });
});

Deno.test("downloadSnapshot() checks git's hash of a small file too", async () => {
  await withHub(async ({ hub, download }) => {
    hub.faults["config.json"] = [{ damaged: true }, { damaged: true }];
    await assertRejects(() => download(), UserError, "The download of config.json is damaged");
  });
});

Deno.test("downloadSnapshot() never sends the token to the server that a download is sent on to", async () => {
  await withHub(async ({ hub, download }) => {
    await download();
    const tokens = (server: string) =>
      new Set(hub.seen.filter((one) => one.server === server).map(({ token }) => token));
    assertEquals(tokens("hub"), new Set(["Bearer hf_secret"]));
    assertEquals(tokens("cdn"), new Set([null]));
  });
});

Deno.test("downloadSnapshot() waits as long as a 429 asks for, and tries a 503 again", async () => {
  await withHub(async ({ hub, pauses, download }) => {
    hub.faults["config.json"] = [{ status: 429, headers: { "retry-after": "7" } }, { status: 503 }];
    await download();
    assertEquals(pauses, [7000, 1000]);
  });
});

Deno.test("downloadSnapshot() gives up on a 429 that does not end, or asks for more than five minutes", async () => {
  await withHub(async ({ hub, pauses, download }) => {
    const slow = { status: 429, headers: { "retry-after": "3600" } };
    hub.faults["config.json"] = [slow];
    const error = await assertRejects(() => download(), UserError, "fewer requests");
    assertEquals([error.kind, pauses], ["data", []]);
    hub.faults["config.json"] = Array(10).fill({ status: 429 });
    await assertRejects(() => download(), UserError, "fewer requests");
    assertEquals(pauses.length, 5);
  });
});

const REFUSALS: readonly (readonly [string, Partial<SnapshotRequest>, string, string])[] = [
  ["a repository that is not there", { repo: "owner/nothing" }, "no model owner/nothing", "HF_TOKEN"],
  ["a revision that is not there", { revision: "v9" }, 'no revision "v9"', "/tree/main"],
  ["a gated repository", { repo: "owner/gated" }, "has to be granted", "owner/gated"],
  ["a dataset asked for as a model", { repo: "owner/data" }, "no model owner/data", "check its name"],
];

for (const [why, request, what, fix] of REFUSALS) {
  Deno.test(`downloadSnapshot() refuses ${why}, and writes nothing`, async () => {
    await withHub(async ({ hub, settings, download }) => {
      hub.repositories["owner/gated"] = { files: {}, gated: true };
      hub.repositories["owner/data"] = { type: "dataset", files: {} };
      const error = await assertRejects(() => download(request), UserError);
      assertEquals(error.kind, "data");
      assertStringIncludes(error.what, what);
      assertStringIncludes(error.fix, fix);
      assertEquals(error.message.includes("hf_secret"), false);
      assertEquals([...Deno.readDirSync(settings.cache)], []);
    });
  });
}

Deno.test("downloadSnapshot() of a gated repository without a token says how to set one", async () => {
  await withHub(async ({ hub, download }) => {
    hub.repositories["owner/gated"] = { files: {}, gated: true };
    const error = await assertRejects(
      () => download({ repo: "owner/gated" }, { token: undefined }),
      UserError,
    );
    assertStringIncludes(error.fix, `${hub.endpoint}/owner/gated, then set HF_TOKEN`);
  });
});

for (const name of ["../evil.json", "/etc/evil.json", "a/../../evil.json", "..\\evil.json"]) {
  Deno.test(`downloadSnapshot() refuses a file the Hub calls ${name}, and writes nothing`, async () => {
    await withHub(async ({ hub, settings, download }) => {
      hub.renamed["config.json"] = name;
      await assertRejects(() => download(), UserError, JSON.stringify(name));
      assertEquals([...Deno.readDirSync(settings.cache)], []);
    });
  });
}

Deno.test("downloadSnapshot() offline gives what was downloaded, by branch or commit, and asks nobody", async () => {
  await withHub(async ({ hub, download }) => {
    const { folder } = await download();
    const before = hub.seen.length;
    assertEquals(await download({}, { offline: true }), { folder, commit: COMMIT });
    assertEquals(await download({ revision: COMMIT }, { offline: true }), { folder, commit: COMMIT });
    assertEquals(hub.seen.length, before);
  });
});

Deno.test("downloadSnapshot() offline refuses what was not downloaded, and names the variable", async () => {
  await withHub(async ({ download }) => {
    const error = await assertRejects(() => download({}, { offline: true }), UserError);
    assertEquals(error.kind, "data");
    assertStringIncludes(error.message, "HF_HUB_OFFLINE");
  });
});

Deno.test("downloadSnapshot() from several sides at once downloads each file once", async () => {
  await withHub(async ({ hub, download }) => {
    const all = await Promise.all([download(), download(), download(), download()]);
    assertEquals(new Set(all.map(({ folder }) => folder)).size, 1);
    assertEquals(await Deno.readFile(join(all[0].folder, "model.safetensors")), WEIGHTS);
    assertEquals(hub.requestsFor("model.safetensors").filter(({ server }) => server === "cdn").length, 1);
  });
});

Deno.test("downloadSnapshot() reports bytes up to the total, also where a file was loaded twice", async () => {
  await withHub(async ({ hub, settings }) => {
    hub.faults["model.safetensors"] = [{ cutAfter: 10 }, { damaged: true }];
    const seen: (readonly [number, number])[] = [];
    const progress = { update: (done: number, total: number) => void seen.push([done, total]) };
    await downloadSnapshot(REQUEST, { settings, progress, sleep: () => Promise.resolve() });
    const total = WEIGHTS.length + CONFIG.length;
    assertEquals(seen.at(-1), [total, total]);
    assert(seen.every(([done, all]) => done >= 0 && done <= all && all === total));
  });
});

Deno.test("downloadSnapshot() says that the Hub cannot be reached, and what helps", async () => {
  await withHub(async ({ download, pauses }) => {
    const error = await assertRejects(() => download({}, { endpoint: "http://127.0.0.1:1" }), UserError);
    assertStringIncludes(error.what, "Cannot reach the Hub");
    assertStringIncludes(error.fix, "HF_HUB_OFFLINE=1");
    assertEquals(pauses.length, 5);
  });
});

Deno.test("downloadSnapshot() refuses a repository that holds nothing that is wanted, and says what it holds", async () => {
  await withHub(async ({ download }) => {
    const error = await assertRejects(() => download({ wanted: () => false }), UserError);
    assertStringIncludes(error.where, "config.json, model.safetensors");
  });
});

Deno.test("downloadSnapshot() ties a continued download to the file it began, and begins anew if that has changed", async () => {
  await withHub(async ({ hub, download }) => {
    hub.faults["model.safetensors"] = [{ cutAfter: 30_000 }, { cutAfter: 10_000 }, { changed: true }];
    const { folder } = await download();
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
    const tag = `"cdn-${sha256(WEIGHTS).slice(0, 32)}"`;
    const [first, second, third, fourth] = hub.requestsFor("model.safetensors").filter(({ server }) =>
      server === "cdn"
    );
    assertEquals([first.ifRange, second.ifRange, third.ifRange], [null, tag, tag]);
    assertEquals(fourth.range, null, "what was changed is downloaded whole");
  });
});

Deno.test("downloadSnapshot() pauses longer and longer while connections give nothing, and then gives up", async () => {
  await withHub(async ({ hub, root, pauses, download }) => {
    const nothing = { cutAfter: 0 };
    hub.faults["model.safetensors"] = [
      { cutAfter: 1000 },
      nothing,
      nothing,
      ...Array(3).fill({ cutAfter: 10 }),
    ];
    await download();
    assertEquals(pauses, [500, 1000]);
    await Deno.remove(root, { recursive: true });
    hub.faults["model.safetensors"] = [{ cutAfter: 1000 }, ...Array(6).fill(nothing)];
    const error = await assertRejects(() => download(), UserError, "broke 7 times, at 1000 of 100000 bytes");
    assertStringIncludes(error.fix, "it goes on where it was");
    assertEquals((await Deno.stat(join(root, "blobs", `${sha256(WEIGHTS)}.incomplete`))).size, 1000);
  });
});

Deno.test("downloadSnapshot() takes a connection on which nothing comes any more for a broken one", async () => {
  await withHub(async ({ hub, download }) => {
    hub.faults["model.safetensors"] = [{ stallAfter: 40_000 }];
    const { folder } = await download({}, {}, { stallMs: 50 });
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
    assertEquals(hub.requestsFor("model.safetensors").at(-1)?.range, "bytes=40000-");
  });
});

for (
  const [why, fault, what] of [
    ["ends before its length", { endsAfter: 60_000 }, "it ends after 60000 of 100000 bytes"],
    ["is longer than listed", { longer: true }, "it is longer than the 100000 bytes that the Hub lists"],
  ] as const
) {
  Deno.test(`downloadSnapshot() loads a file again that ${why}, refuses it the second time, and keeps nothing`, async () => {
    await withHub(async ({ hub, root, download }) => {
      // One fault is used up by each request, and a file that ends too early is asked for its rest.
      const once = "endsAfter" in fault ? [fault, fault] : [fault];
      hub.faults["model.safetensors"] = [...once];
      await download();
      await Deno.remove(root, { recursive: true });
      hub.faults["model.safetensors"] = [...once, ...once];
      await assertRejects(() => download(), UserError, `model.safetensors is damaged: ${what}`);
      const left = [...Deno.readDirSync(join(root, "blobs"))].map(({ name }) => name);
      assertEquals(left.filter((name) => name.startsWith(sha256(WEIGHTS))), []);
    });
  });
}

Deno.test("downloadSnapshot() that fails with one file stops the others at once", async () => {
  await withHub(async ({ hub, download }) => {
    hub.faults["config.json"] = [{ status: 403 }];
    hub.faults["model.safetensors"] = [{ stallAfter: 10 }];
    await assertRejects(() => download(), UserError, "has to be granted");
    assertEquals(
      hub.requestsFor("model.safetensors").filter(({ server }) => server === "cdn").length <= 1,
      true,
    );
  });
});

Deno.test("downloadSnapshot() that is aborted throws the signal's reason, and goes on from there later", async () => {
  await withHub(async ({ hub, settings, download }) => {
    hub.faults["model.safetensors"] = [{ stallAfter: 20_000 }];
    const stop = new AbortController();
    const progress = { update: (done: number) => done >= 20_000 && stop.abort(new Error("enough")) };
    await assertRejects(
      () => downloadSnapshot(REQUEST, { settings, progress, signal: stop.signal }),
      Error,
      "enough",
    );
    const { folder } = await download();
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
    assertEquals(hub.requestsFor("model.safetensors").at(-1)?.range, "bytes=20000-");
  });
});

for (
  const [why, reply] of [
    ["a page instead of the API's reply", "<html>Log in to the hotel</html>"],
    ["JSON of another shape", "null"],
    ["a commit that is none", '{"sha":"main"}'],
  ]
) {
  Deno.test(`downloadSnapshot() refuses ${why}, naming the endpoint`, async () => {
    await withHub(async ({ hub, settings, download }) => {
      hub.faults["/api/models/owner/name/revision/main"] = [{ reply }];
      const error = await assertRejects(() => download(), UserError);
      assertEquals([error.kind, error.where], ["data", settings.endpoint]);
      assertStringIncludes(error.fix, "HF_ENDPOINT");
    });
  });
}

for (
  const [why, list, what] of [
    [
      "without a size",
      [{ type: "file", path: "config.json", oid: "0".repeat(40) }],
      "no size of config.json",
    ],
    [
      "of a negative size",
      [{ type: "file", path: "config.json", oid: "0".repeat(40), size: -1 }],
      "no size of config.json",
    ],
    [
      "whose hash is a path",
      [{ type: "file", path: "config.json", oid: "../../../x", size: 1 }],
      "no hash or no size of config.json",
    ],
    ["without a name", [{ type: "file", oid: "0".repeat(40), size: 1 }], "not one of the Hub"],
    ["in place of a list", { error: "x" }, "not one of the Hub"],
  ] as const
) {
  Deno.test(`downloadSnapshot() refuses a listing with a file ${why}, and writes nothing`, async () => {
    await withHub(async ({ hub, settings, download }) => {
      hub.faults[`/api/models/owner/name/tree/${COMMIT}`] = [{ reply: JSON.stringify(list) }];
      await assertRejects(() => download(), UserError, what);
      assertEquals([...Deno.readDirSync(settings.cache)], []);
    });
  });
}

Deno.test("downloadSnapshot() refuses a list without an end", async () => {
  await withHub(async ({ hub, download }) => {
    const path = `/api/models/owner/name/tree/${COMMIT}`;
    const headers = { link: `<${hub.endpoint}${path}?more>; rel="next"` };
    hub.faults[path] = Array.from({ length: 1001 }, () => ({ reply: "[]", headers }));
    await assertRejects(() => download(), UserError, "does not end after 1000 pages");
  });
});

Deno.test("downloadSnapshot() shows neither token nor signature when the second server cannot be reached", async () => {
  await withHub(async ({ hub, download }) => {
    const token = "hf_abcdefghijklmnopqrstuvwxyz01234567";
    const closed = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const location = `http://${token}@127.0.0.1:${closed.addr.port}/file?X-Amz-Signature=secret`;
    closed.close();
    hub.faults["model.safetensors"] = Array.from(
      { length: 6 },
      () => ({ status: 302, headers: { location } }),
    );
    const error = await assertRejects(() => download({}, { token }), UserError, "Cannot reach the Hub");
    const all = Deno.inspect(error) + error.message;
    assertEquals([all.includes("secret"), all.includes(token)], [false, false], all);
  });
});

Deno.test("listSnapshot() lists all files of a commit and downloads none, and does so offline as well", async () => {
  await withHub(async ({ hub, settings }) => {
    const request = { type: "model", repo: "owner/name", revision: "main" } as const;
    const listed = await listSnapshot(request, { settings });
    assertEquals(listed, { commit: COMMIT, paths: ["config.json", "model.safetensors"] });
    assertEquals(hub.requestsFor("config.json"), []);
    const offline = { settings: { ...settings, offline: true } };
    assertEquals(await listSnapshot({ ...request, revision: COMMIT }, offline), listed);
    // Only a download says which commit a branch stood at.
    const error = await assertRejects(() => listSnapshot(request, offline), UserError);
    assertEquals(error.what.startsWith("owner/name at main is not in the cache"), true);
  });
});

Deno.test("listSnapshot() offline lists what Python has downloaded, where nobody noted what a commit holds", async () => {
  await withHub(async ({ root, settings, download }) => {
    await download({ wanted: (path) => path === "config.json" });
    await Deno.remove(join(root, "trees"), { recursive: true });
    const request = { type: "model", repo: "owner/name", revision: "main" } as const;
    const listed = await listSnapshot(request, { settings: { ...settings, offline: true } });
    assertEquals(listed, { commit: COMMIT, paths: ["config.json"] });
  });
});
