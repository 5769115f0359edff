import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { pathToFileURL } from "node:url";
import { UserError } from "../../core/errors.ts";
import {
  dataError,
  exists,
  hashFile,
  readJson,
  readText,
  writeFileAtomic,
  writeJsonAtomic,
} from "../../core/files.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";
import { killWhenReady } from "./_killed.ts";
import { tinyDiskTest } from "./_tiny_disk.ts";

const names = async (folder: string) => (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("writeFileAtomic() writes text, bytes and chunks in order, over what was there", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.txt`;
    await writeFileAtomic(path, "a much longer text than the others — ");
    assertEquals(await Deno.readTextFile(path), "a much longer text than the others — ");
    await writeFileAtomic(path, bytes("bytes"));
    assertEquals(await Deno.readTextFile(path), "bytes");
    await writeFileAtomic(
      path,
      async function* () {
        yield bytes("one ");
        yield await Promise.resolve(bytes("two"));
      }(),
    );
    assertEquals(await Deno.readTextFile(path), "one two");
    assertEquals(await names(folder), ["a.txt"]);
  }));

Deno.test("writeFileAtomic() writes an empty file", () =>
  withFolder(async (folder) => {
    await writeFileAtomic(`${folder}/a.txt`, "");
    assertEquals((await Deno.stat(`${folder}/a.txt`)).size, 0);
  }));

Deno.test("writeFileAtomic() makes the folders above the file", () =>
  withFolder(async (folder) => {
    await writeFileAtomic(`${folder}/a/b/c.txt`, "deep");
    assertEquals(await Deno.readTextFile(`${folder}/a/b/c.txt`), "deep");
  }));

Deno.test("writeFileAtomic() leaves the earlier file whole, and no other, when its source throws midway", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.txt`;
    await writeFileAtomic(path, "earlier");
    const source = async function* () {
      yield bytes("half of the new ");
      yield await Promise.reject(new RangeError("the source broke"));
    };
    await assertRejects(() => writeFileAtomic(path, source()), RangeError, "the source broke");
    assertEquals(await Deno.readTextFile(path), "earlier");
    assertEquals(await names(folder), ["a.txt"]);
  }));

Deno.test("writeFileAtomic() leaves the earlier file whole when it is killed midway", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.txt`;
    await writeFileAtomic(path, "earlier");
    await killWhenReady(
      `import { writeFileAtomic } from "@core/files.ts";
       await writeFileAtomic(${JSON.stringify(path)}, async function* () {
         yield new TextEncoder().encode("half of the new ");
         await ready();
       }());`,
      folder,
    );
    assertEquals(await Deno.readTextFile(path), "earlier");
    await writeFileAtomic(path, "later");
    assertEquals(await Deno.readTextFile(path), "later");
  }));

tinyDiskTest(
  "writeFileAtomic() leaves the earlier file whole when the disk is full, and says so",
  async (disk) => {
    const path = `${disk}/a.txt`;
    await writeFileAtomic(path, "earlier");
    const error = await assertRejects(() => writeFileAtomic(path, new Uint8Array(1 << 18)), UserError);
    assertEquals([error.kind, error.exitCode], ["data", 4]);
    assertEquals([error.what, error.where], [`Cannot write ${path}: the disk is full`, path]);
    assertEquals(await Deno.readTextFile(path), "earlier");
    assertEquals(await names(disk), ["a.txt"]);
  },
);

Deno.test("writeFileAtomic() refuses a path below a file, naming it", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "a.txt": "a file" });
    const error = await assertRejects(() => writeFileAtomic(`${folder}/a.txt/b.txt`, "x"), UserError);
    assertEquals([error.kind, error.where], ["data", `${folder}/a.txt/b.txt`]);
  }));

Deno.test("writeJsonAtomic() writes indented JSON that readJson() reads back", () =>
  withFolder(async (folder) => {
    const value = { text: "naïve\n", list: [1, 2.5, null], nested: { yes: true } };
    await writeJsonAtomic(`${folder}/a.json`, value);
    assertEquals(await readJson(`${folder}/a.json`), value);
    assertStringIncludes(await Deno.readTextFile(`${folder}/a.json`), '\n  "text"');
  }));

Deno.test("readText() reads UTF-8 by path and by URL, without a byte order mark", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a b.txt`;
    await Deno.writeFile(path, Uint8Array.of(0xef, 0xbb, 0xbf, 0x6e, 0xc3, 0xaf));
    assertEquals(await readText(path), "nï");
    assertEquals(await readText(pathToFileURL(path)), "nï");
  }));

Deno.test("readText() refuses what is not UTF-8, naming the file", () =>
  withFolder(async (folder) => {
    const path = `${folder}/latin1.txt`;
    await Deno.writeFile(path, Uint8Array.of(0x6e, 0xef, 0x76));
    const error = await assertRejects(() => readText(path), UserError);
    assertEquals([error.kind, error.what], ["data", `Cannot read ${path}: it is not UTF-8 text`]);
    assertEquals(error.fix, "save it as UTF-8");
  }));

Deno.test("readText() says what is wrong with a path that is missing, a folder, or below a file", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "a.txt": "a file" });
    for (
      const [path, reason] of [
        [`${folder}/none.txt`, "no such file or folder"],
        [folder, "Is a directory"],
        [`${folder}/a.txt/b.txt`, "Not a directory"],
      ]
    ) {
      const error = await assertRejects(() => readText(path), UserError, reason);
      assertEquals([error.kind, error.where], ["data", path]);
    }
  }));

Deno.test("readText() shows a URL as the path it stands for", () =>
  withFolder(async (folder) => {
    const error = await assertRejects(() => readText(pathToFileURL(`${folder}/no such.txt`)), UserError);
    assertEquals(error.where, `${folder}/no such.txt`);
  }));

for (const [what, text] of [["cut short", '{"a": [1, 2'], ["empty", ""], ["followed by more", "{} {}"]]) {
  Deno.test(`readJson() refuses JSON that is ${what}, naming the file`, () =>
    withFolder(async (folder) => {
      await writeFiles(folder, { "a.json": text });
      const error = await assertRejects(() => readJson(`${folder}/a.json`), UserError, "Not valid JSON: ");
      assertEquals([error.kind, error.where], ["data", `${folder}/a.json`]);
    }));
}

Deno.test("exists() knows files and folders, and what is neither", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "a.txt": "a file" });
    assertEquals(await exists(`${folder}/a.txt`), true);
    assertEquals(await exists(pathToFileURL(folder)), true);
    assertEquals(await exists(`${folder}/b.txt`), false);
    assertEquals(await exists(`${folder}/a.txt/b.txt`), false);
  }));

Deno.test("hashFile() gives the SHA-256 of an empty file and of 'abc' as published", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { empty: "", abc: "abc" });
    assertEquals(
      await hashFile(`${folder}/empty`),
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    assertEquals(
      await hashFile(`${folder}/abc`),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  }));

Deno.test("hashFile() of a file that it reads in pieces is that of all its bytes", () =>
  withFolder(async (folder) => {
    const contents = Uint8Array.from({ length: (1 << 20) + 1 }, (_, index) => index % 251);
    await Deno.writeFile(`${folder}/large`, contents);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", contents));
    assertEquals(await hashFile(`${folder}/large`), digest.toHex());
  }));

Deno.test("hashFile() refuses a file that is not there", () =>
  withFolder(async (folder) => {
    await assertRejects(() => hashFile(`${folder}/none`), UserError, "no such file or folder");
  }));

Deno.test("dataError() is a UserError of kind data with the cause kept", () => {
  const cause = new Error("underneath");
  const error = dataError("what", "where", "fix", cause);
  assertEquals([error.kind, error.what, error.where, error.fix], ["data", "what", "where", "fix"]);
  assertEquals(error.cause, cause);
});
