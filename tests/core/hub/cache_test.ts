import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname, join } from "node:path";
import { UserError } from "../../../core/errors.ts";
import { exists } from "../../../core/files.ts";
import { isModelFile } from "../../../core/hub/files.ts";
import { withFolder } from "../../plugins/_folders.ts";
import { freezeDisk, growDisk, tinyDiskTest } from "../_tiny_disk.ts";
import { killWhenReady } from "../_killed.ts";
import { COMMIT, FakeHub, sha256 } from "./_fake_hub.ts";
import { type Bench, CONFIG, REQUEST, WEIGHTS, withHub } from "./_with_hub.ts";
import { downloadSnapshot } from "../../../core/hub/snapshot.ts";

const BLOB = sha256(WEIGHTS);

/** Names of all that lies in a folder. */
const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

// Links.

/** Ways in which a link can lead out of the cache, to `outside`, and whether anything is in the cache before. */
const ESCAPES: readonly {
  readonly why: string;
  readonly make: (bench: Bench, outside: string) => Promise<void>;
}[] = [
  {
    why: "a file of the snapshot",
    async make({ root, download }, outside) {
      await download();
      const path = join(root, "snapshots", COMMIT, "config.json");
      await Deno.remove(path);
      await Deno.symlink(join(outside, "secret"), path);
    },
  },
  {
    why: "a file's content",
    async make({ root, download }, outside) {
      await download();
      await Deno.remove(join(root, "blobs", BLOB));
      await Deno.symlink(join(outside, "secret"), join(root, "blobs", BLOB));
    },
  },
  {
    why: "the whole snapshot",
    async make({ root, download }, outside) {
      const { folder } = await download();
      await Deno.rename(folder, join(outside, "snapshot"));
      await Deno.symlink(join(outside, "snapshot"), join(root, "snapshots", COMMIT));
    },
  },
  {
    why: "the commit of a branch",
    async make({ root, download }, outside) {
      await download();
      await Deno.writeTextFile(join(outside, "main"), COMMIT);
      await Deno.remove(join(root, "refs", "main"));
      await Deno.symlink(join(outside, "main"), join(root, "refs", "main"));
    },
  },
];

for (const { why, make } of ESCAPES) {
  Deno.test(`downloadSnapshot() offline refuses a cache in which ${why} is a link out of it`, () =>
    withFolder((outside) =>
      withHub(async (bench) => {
        await Deno.writeTextFile(join(outside, "secret"), "secret");
        await make(bench, outside);
        const error = await assertRejects(() => bench.download({}, { offline: true }), UserError, outside);
        assertEquals(error.kind, "data");
      })
    ));
}

for (const place of ["", "blobs", "snapshots", `snapshots/${COMMIT}`, "trees", `blobs/${BLOB}.incomplete`]) {
  const what = place === "" ? "the repository" : place.replace(COMMIT, "<commit>").replace(BLOB, "<hash>");
  Deno.test(`downloadSnapshot() writes nothing out of the cache where ${what} is a link out of it`, () =>
    withFolder((outside) =>
      withHub(async ({ root, download }) => {
        const path = join(root, place);
        await Deno.mkdir(dirname(path), { recursive: true });
        await Deno.symlink(place.endsWith("incomplete") ? join(outside, "new") : outside, path);
        const error = await assertRejects(() => download(), UserError, "leads out of it");
        assertEquals([error.kind, names(outside)], ["data", []]);
      })
    ));
}

Deno.test("downloadSnapshot() online refuses a snapshot's link out of the cache, and leaves what it leads to", () =>
  withFolder((outside) =>
    withHub(async ({ download }) => {
      const { folder } = await download();
      await Deno.writeTextFile(join(outside, "other"), "other");
      await Deno.remove(join(folder, "config.json"));
      await Deno.symlink(join(outside, "other"), join(folder, "config.json"));
      await assertRejects(() => download(), UserError, "leads out of it");
      assertEquals(await Deno.readTextFile(join(outside, "other")), "other");
    })
  ));

Deno.test("downloadSnapshot() takes content that lies in the store that Python shares between repositories", () =>
  withHub(async ({ hub, settings, root, download }) => {
    await download();
    const store = join(settings.cache, "blobs", "ab");
    await Deno.mkdir(store, { recursive: true });
    await Deno.rename(join(root, "blobs", BLOB), join(store, "abc"));
    await Deno.symlink("../../blobs/ab/abc", join(root, "blobs", BLOB));
    const before = hub.seen.length;
    const { folder } = await download({ revision: COMMIT });
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
    assertEquals([hub.seen.length, (await download({}, { offline: true })).folder], [before, folder]);
  }));

Deno.test("downloadSnapshot() works in a cache that is itself reached by a link", () =>
  withFolder((folder) =>
    withHub(async ({ settings, download }) => {
      const cache = join(folder, "cache");
      await Deno.symlink(settings.cache, cache);
      await download({}, { cache });
      assertEquals((await download({}, { cache, offline: true })).commit, COMMIT);
    })
  ));

Deno.test("downloadSnapshot() takes a file that stands in the snapshot itself, as Python puts it where there are no links", () =>
  withHub(async ({ hub, root, download }) => {
    const { folder } = await download();
    await Deno.remove(join(folder, "model.safetensors"));
    await Deno.rename(join(root, "blobs", BLOB), join(folder, "model.safetensors"));
    const before = hub.requestsFor("model.safetensors").length;
    await download();
    assertEquals(hub.requestsFor("model.safetensors").length, before);
    assertEquals(await exists(join(root, "blobs", BLOB)), false);
  }));

// What is noted for the next time.

Deno.test("downloadSnapshot() at a commit that is here asks nobody", () =>
  withHub(async ({ hub, download }) => {
    await download();
    const before = hub.seen.length;
    await download({ revision: COMMIT });
    assertEquals(hub.seen.length, before);
  }));

Deno.test("downloadSnapshot() asks again what a commit holds when its note was wrong", () =>
  withHub(async ({ root, download }) => {
    await download({ wanted: (path) => path === "config.json" });
    const note = join(root, "trees", `${COMMIT}.json`);
    const right = await Deno.readTextFile(note);
    await Deno.writeTextFile(note, right.replaceAll(BLOB, "0".repeat(64)));
    await assertRejects(() => download(), UserError, "is damaged");
    await download();
    assertEquals(await Deno.readTextFile(note), right);
  }));

for (const note of ["", "null", "[]", '{"format_version":2}', '{"format_version":1,"files":{"../x":{}}}']) {
  Deno.test(`downloadSnapshot() asks what a commit holds when its note is ${JSON.stringify(note)}`, () =>
    withHub(async ({ root, download }) => {
      await Deno.mkdir(join(root, "trees"), { recursive: true });
      await Deno.writeTextFile(join(root, "trees", `${COMMIT}.json`), note);
      const { folder } = await download();
      assertEquals(names(folder), ["config.json", "model.safetensors"]);
    }));
}

Deno.test("downloadSnapshot() follows a branch to a new commit, and keeps the old one by its name", () =>
  withHub(async ({ hub, root, download }) => {
    await download();
    const next = "1".repeat(40);
    hub.repositories["owner/name"] = { files: { "config.json": "{}" }, commit: next };
    const { folder, commit } = await download();
    assertEquals([commit, names(folder)], [next, ["config.json"]]);
    assertEquals(await Deno.readTextFile(join(root, "refs", "main")), next);
    assertEquals((await download({ revision: COMMIT }, { offline: true })).commit, COMMIT);
  }));

Deno.test("downloadSnapshot() that fails leaves the branch at the commit that is whole", () =>
  withHub(async ({ hub, download }) => {
    await download();
    hub.repositories["owner/name"] = { files: { "config.json": "{}" }, commit: "1".repeat(40) };
    hub.faults["config.json"] = [{ damaged: true }, { damaged: true }];
    await assertRejects(() => download(), UserError, "is damaged");
    const { folder } = await download({}, { offline: true });
    assertEquals(await Deno.readTextFile(join(folder, "config.json")), CONFIG);
  }));

// Offline.

Deno.test("downloadSnapshot() offline refuses a snapshot that was downloaded in part, naming what it lacks", () =>
  withHub(async ({ hub, download }) => {
    const wanted = (path: string) => path === "config.json";
    await download({ wanted });
    hub.faults["model.safetensors"] = [{ status: 403 }];
    await assertRejects(() => download(), UserError);
    const error = await assertRejects(() => download({ revision: COMMIT }, { offline: true }), UserError);
    assertStringIncludes(error.what, "there is no model.safetensors");
    assertStringIncludes(error.fix, "without HF_HUB_OFFLINE");
    const some = await download({ revision: COMMIT, wanted }, { offline: true });
    assertEquals(some.commit, COMMIT);
  }));

Deno.test("downloadSnapshot() offline refuses a link whose file is gone, also where nothing says what a commit holds", () =>
  withHub(async ({ root, download }) => {
    await download();
    await Deno.remove(join(root, "trees"), { recursive: true });
    await Deno.remove(join(root, "blobs", BLOB));
    const error = await assertRejects(() => download({}, { offline: true }), UserError);
    assertStringIncludes(error.what, "there is no model.safetensors");
  }));

Deno.test("downloadSnapshot() offline refuses a snapshot in which nothing is wanted", () =>
  withHub(async ({ download }) => {
    await download();
    await assertRejects(
      () => download({ wanted: (path) => path === "tokenizer.json" }, { offline: true }),
      UserError,
      "None of the files that are needed",
    );
  }));

Deno.test("downloadSnapshot() offline takes a branch's file that names no commit for none", () =>
  withHub(async ({ root, download }) => {
    await download();
    await Deno.writeTextFile(join(root, "refs", "main"), "../../elsewhere");
    await assertRejects(() => download({}, { offline: true }), UserError, "is not in the cache");
  }));

// Disks and processes.

tinyDiskTest("downloadSnapshot() uses a cache that it may not write to, if all is there", async (cache) => {
  growDisk(cache);
  await using hub = new FakeHub();
  hub.repositories["owner/name"] = { files: { "config.json": CONFIG } };
  const settings = { endpoint: hub.endpoint, offline: false, cache };
  const { folder } = await downloadSnapshot(REQUEST, { settings });
  // As an earlier huggingface_hub leaves it.
  await Deno.remove(join(cache, "models--owner--name", "trees"), { recursive: true });
  freezeDisk(cache);
  assertEquals(await downloadSnapshot(REQUEST, { settings }), { folder, commit: COMMIT });
  hub.repositories["owner/name"] = { files: { "config.json": "{}" }, commit: "1".repeat(40) };
  const error = await assertRejects(() => downloadSnapshot(REQUEST, { settings }), UserError);
  assertEquals(error.kind, "data");
});

Deno.test("downloadSnapshot() says so where the cache cannot be made", () =>
  withFolder((folder) =>
    withHub(async ({ download }) => {
      await Deno.writeTextFile(join(folder, "file"), "");
      const cache = join(folder, "file", "hub");
      const error = await assertRejects(() => download({}, { cache }), UserError);
      assertEquals([error.kind, error.where.startsWith(cache)], ["data", true]);
    })
  ));

tinyDiskTest(
  "downloadSnapshot() says that the disk is full, and goes on once there is room",
  async (cache) => {
    await using hub = new FakeHub();
    hub.repositories["owner/name"] = {
      files: { "model.safetensors": WEIGHTS },
      large: ["model.safetensors"],
    };
    const settings = { endpoint: hub.endpoint, offline: false, cache };
    const error = await assertRejects(
      () => downloadSnapshot(REQUEST, { settings }),
      UserError,
      "the disk is full",
    );
    assertStringIncludes(error.what, "model.safetensors");
    assertEquals(hub.requestsFor("model.safetensors").length, 2, "it does not try again in vain");
    growDisk(cache);
    const { folder } = await downloadSnapshot(REQUEST, { settings });
    assertEquals(await Deno.readFile(join(folder, "model.safetensors")), WEIGHTS);
    assert(hub.requestsFor("model.safetensors").at(-1)?.range !== null, "it began anew");
  },
);

Deno.test("downloadSnapshot() goes on where a killed process was", () =>
  withFolder((folder) =>
    withHub(async ({ hub, settings, download }) => {
      hub.faults["model.safetensors"] = [{ stallAfter: 70_000 }];
      const source = `
        import { downloadSnapshot } from "@core/hub/snapshot.ts";
        let told = false;
        const progress = { update: (done) => done >= 70_000 && !told && (told = true) && ready() };
        const request = { type: "model", repo: "owner/name", revision: "main", wanted: () => true };
        downloadSnapshot(request, { settings: ${JSON.stringify(settings)}, progress });
      `;
      await killWhenReady(source, folder);
      const { folder: snapshot } = await download();
      assertEquals(await Deno.readFile(join(snapshot, "model.safetensors")), WEIGHTS);
      assertEquals(hub.requestsFor("model.safetensors").at(-1)?.range, "bytes=70000-");
    })
  ));

Deno.test("downloadSnapshot() of a model takes the shards that its index names, and leaves a second copy", () =>
  withHub(async ({ hub, download }) => {
    const files = ["model.safetensors", "model.safetensors.index.json", "model-00001-of-00001.safetensors"];
    hub.repositories["owner/both"] = { files: Object.fromEntries(files.map((name) => [name, name])) };
    const { folder } = await download({ repo: "owner/both", wanted: isModelFile });
    assertEquals(names(folder), files.slice(1).sort());
  }));
