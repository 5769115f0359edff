import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { FEATURE_CACHE_BYTES, FeatureCache, UserError } from "@credence/credence";
import { withFolder } from "../plugins/_folders.ts";
import { tinyDiskTest } from "./_tiny_disk.ts";

const key = (name: string) => createHash("sha256").update(name).digest("hex");

const vectors = (names: readonly string[], width = 3) =>
  new Map(
    names.map((name, index) => [key(name), Float32Array.from({ length: width }, (_, at) => index + at / 8)]),
  );

const keysOf = (names: readonly string[]) => new Set(names.map(key));

/** Paths of a group's files. */
const filesOf = async (folder: string, group = "model") =>
  (await Array.fromAsync(Deno.readDir(join(folder, group)))).map(({ name }) => join(folder, group, name))
    .sort();

Deno.test("FeatureCache.read() gives what was written, to the bit, and nothing for other keys or groups", () =>
  withFolder(async (folder) => {
    const cache = new FeatureCache(join(folder, "new", "cache"));
    const written = new Map([[key("a"), Float32Array.of(-0, 1e-45, 3.4e38)], [
      key("b"),
      Float32Array.of(1, 2, NaN),
    ]]);
    await cache.write("model", written);
    assertEquals(await cache.read("model", keysOf(["a", "b", "c"])), written);
    assertEquals((await cache.read("model", keysOf(["c"]))).size, 0);
    assertEquals((await cache.read("other", keysOf(["a"]))).size, 0);
  }));

Deno.test("FeatureCache.read() finds vectors of several files, and those of another program", () =>
  withFolder(async (folder) => {
    await new FeatureCache(folder).write("model", vectors(["a", "b"]));
    await new FeatureCache(folder).write("model", vectors(["b", "c"]));
    const found = await new FeatureCache(folder).read("model", keysOf(["a", "b", "c"]));
    assertEquals(new Set(found.keys()), keysOf(["a", "b", "c"]));
  }));

Deno.test("FeatureCache writes nothing for no vectors, and makes no folder until it writes", () =>
  withFolder(async (folder) => {
    const cache = new FeatureCache(join(folder, "cache"));
    assertEquals((await cache.read("model", keysOf(["a"]))).size, 0);
    await cache.write("model", new Map());
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
  }));

for (
  const [what, damage] of [
    ["one changed bit", (bytes) => bytes.with(70, bytes[70] ^ 1)],
    ["a changed key", (bytes) => bytes.with(20, bytes[20] ^ 1)],
    ["a changed hash", (bytes) => bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1)],
    ["a missing end", (bytes) => bytes.slice(0, -1)],
    ["a few bytes only", (bytes) => bytes.slice(0, 5)],
    ["nothing", () => new Uint8Array()],
    ["a count beyond its size", (bytes) => bytes.with(11, 255)],
    ["another format", (bytes) => bytes.with(7, 50)],
  ] as readonly [string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>][]
) {
  Deno.test(`FeatureCache.read() takes a file with ${what} for absent, and deletes it`, () =>
    withFolder(async (folder) => {
      const cache = new FeatureCache(folder), names = ["a", "b"];
      await cache.write("model", vectors(names));
      const [path] = await filesOf(folder);
      await Deno.writeFile(path, damage(await Deno.readFile(path)));
      // A key that is not one's own is not looked at, so both are asked for by what the file now says, too.
      const found = await cache.read("model", keysOf(names));
      for (const [name, vector] of found) assertEquals(vector, vectors(names).get(name));
      assertEquals([found.size, await filesOf(folder)], [0, []]);
      await cache.write("model", vectors(names));
      assertEquals((await cache.read("model", keysOf(names))).size, 2);
    }));
}

Deno.test("FeatureCache leaves alone what is not its own, and clears away what killed programs left, after an hour", () =>
  withFolder(async (folder) => {
    const cache = new FeatureCache(folder);
    await cache.write("model", vectors(["a"]));
    const old = join(folder, "model", "x.features.1.tmp"), young = join(folder, "model", "y.features.2.tmp");
    await Deno.writeTextFile(old, "half");
    await Deno.writeTextFile(young, "half");
    await Deno.writeTextFile(join(folder, "notes.txt"), "mine");
    const hoursAgo = new Date(Date.now() - 2 * 60 * 60 * 1000);
    await Deno.utime(old, hoursAgo, hoursAgo);
    await cache.write("model", vectors(["b"]));
    const left = await filesOf(folder);
    assertEquals([left.includes(old), left.includes(young), left.length], [false, true, 3]);
    assertEquals(await Deno.readTextFile(join(folder, "notes.txt")), "mine");
  }));

Deno.test("FeatureCache deletes what was used longest ago when all files together become too large", () =>
  withFolder(async (folder) => {
    // A file of one vector of 100 values has 480 bytes.
    const cache = new FeatureCache(folder, { maxBytes: 1500 });
    for (const [index, name] of ["a", "b", "c"].entries()) {
      await cache.write("model", vectors([name], 100));
      const then = new Date(Date.now() - (10 - index) * 60_000);
      for (const path of await filesOf(folder)) {
        if (Date.now() - (await Deno.stat(path)).mtime!.getTime() < 5000) await Deno.utime(path, then, then);
      }
    }
    // "a" is the oldest, but it is used now.
    assertEquals((await cache.read("model", keysOf(["a"]))).size, 1);
    await cache.write("another model", vectors(["d"], 100));
    const left = await cache.read("model", keysOf(["a", "b", "c"]));
    assertEquals(new Set(left.keys()), keysOf(["a", "c"]));
    assertEquals((await cache.read("another model", keysOf(["d"]))).size, 1);
  }));

Deno.test("FeatureCache does not keep what is larger than it may be at all, and deletes nothing for it", () =>
  withFolder(async (folder) => {
    const cache = new FeatureCache(folder, { maxBytes: 1000 });
    await cache.write("model", vectors(["a"], 100));
    await cache.write("model", vectors(["b"], 1000));
    assertEquals(new Set((await cache.read("model", keysOf(["a", "b"]))).keys()), keysOf(["a"]));
    assertEquals(FEATURE_CACHE_BYTES, 4294967296);
  }));

Deno.test("FeatureCache may be written to and read by many at once", () =>
  withFolder(async (folder) => {
    const names = Array.from({ length: 20 }, (_, index) => `row ${index}`);
    await Promise.all(names.map(async (name) => {
      const cache = new FeatureCache(folder);
      await cache.write("model", vectors([name]));
      assertEquals((await cache.read("model", keysOf([name]))).size, 1);
    }));
    assertEquals((await new FeatureCache(folder).read("model", keysOf(names))).size, 20);
  }));

Deno.test("FeatureCache says that its folder cannot be used, and what to do", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "file"), "");
    const cache = new FeatureCache(join(folder, "file"));
    const error = await assertRejects(() => cache.write("model", vectors(["a"])), UserError);
    assertEquals(error.kind, "data");
    assert(error.fix.includes("--cache-dir"), error.fix);
  }));

tinyDiskTest("FeatureCache names a full disk, and leaves nothing half-written", async (folder) => {
  const cache = new FeatureCache(join(folder, "cache"));
  const error = await assertRejects(
    () => cache.write("model", vectors(["a"], 100_000)),
    UserError,
    "the disk is full",
  );
  assert(error.fix.includes("--cache-dir"), error.fix);
  assertEquals(await filesOf(join(folder, "cache")), []);
});
