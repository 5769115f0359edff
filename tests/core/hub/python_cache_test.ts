import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { dirname, join, relative } from "node:path";
import { readJson } from "../../../core/files.ts";
import type { RepoType } from "../../../core/hub/names.ts";
import { downloadSnapshot } from "../../../core/hub/snapshot.ts";
import { withFolder } from "../../plugins/_folders.ts";
import { COMMIT, FakeHub } from "./_fake_hub.ts";
import { RECORDED } from "./_recorded.ts";

type Entry = { readonly link: string } | { readonly text: string } | { readonly base64: string };

const { cache: python } = await readJson(new URL("../../golden/hub/cache.json", import.meta.url)) as {
  cache: Readonly<Record<string, Entry>>;
};

const REQUESTS = ([["model", "owner/name", "main"], ["model", "owner/name", "v1"], [
  "dataset",
  "owner/data",
  "main",
]] as const).map(([type, repo, revision]) => ({
  type: type as RepoType,
  repo,
  revision,
  wanted: () => true,
}));

/** Lays out what Python left. */
async function restore(cache: string): Promise<void> {
  for (const [name, entry] of Object.entries(python)) {
    const path = join(cache, name);
    await Deno.mkdir(dirname(path), { recursive: true });
    if ("link" in entry) await Deno.symlink(entry.link, path);
    else if ("text" in entry) await Deno.writeTextFile(path, entry.text);
    else await Deno.writeFile(path, Buffer.from(entry.base64, "base64"));
  }
}

/** What lies in a cache, as the script records it. */
async function record(cache: string, folder = cache): Promise<Record<string, Entry>> {
  const found: Record<string, Entry> = {};
  for await (const { name, isDirectory, isSymlink } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) Object.assign(found, await record(cache, path));
    else if (isSymlink) found[relative(cache, path)] = { link: await Deno.readLink(path) };
    else {
      const key = relative(cache, path), recorded = python[key];
      const bytes = Buffer.from(await Deno.readFile(path));
      found[key] = recorded && "base64" in recorded
        ? { base64: bytes.toString("base64") }
        : { text: bytes.toString() };
    }
  }
  return found;
}

for (const request of REQUESTS) {
  const what = `the ${request.type} ${request.repo} at ${request.revision}`;
  Deno.test(`downloadSnapshot() finds ${what} that huggingface_hub downloaded, offline`, () =>
    withFolder(async (cache) => {
      await restore(cache);
      const settings = { endpoint: "http://127.0.0.1:1", offline: true, cache };
      const { folder, commit } = await downloadSnapshot(request, { settings });
      assertEquals(commit, COMMIT);
      const files = Object.keys(RECORDED[request.repo].files);
      assertEquals(files.filter((name) => Deno.statSync(join(folder, name)).isFile), files);
    }));

  Deno.test(`downloadSnapshot() downloads nothing of ${what} that huggingface_hub downloaded`, () =>
    withFolder(async (cache) => {
      await using hub = new FakeHub();
      Object.assign(hub.repositories, RECORDED);
      await restore(cache);
      await downloadSnapshot(request, { settings: { endpoint: hub.endpoint, offline: false, cache } });
      assertEquals(hub.seen.filter(({ path }) => path.includes("/resolve/")), []);
    }));
}

Deno.test("downloadSnapshot() leaves the very files and links that huggingface_hub leaves", () =>
  withFolder(async (cache) => {
    await using hub = new FakeHub();
    Object.assign(hub.repositories, RECORDED);
    const settings = { endpoint: hub.endpoint, offline: false, cache };
    for (const request of REQUESTS) await downloadSnapshot(request, { settings });
    // A note for back-up programs is Python's own.
    const { "CACHEDIR.TAG": _tag, ...expected } = python;
    assertEquals(await record(cache), expected);
  }));
