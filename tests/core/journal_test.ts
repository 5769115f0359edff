import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { exists } from "../../core/files.ts";
import { Journal } from "../../core/journal.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";
import { killWhenReady } from "./_killed.ts";
import { tinyDiskTest } from "./_tiny_disk.ts";

/** What a journal holds after it is opened anew; it is closed again. */
async function reopened(path: string, key = "key"): Promise<[number, unknown][]> {
  const journal = await Journal.open(path, key);
  journal.close();
  return [...journal.entries];
}

/** Writes a journal of these results. */
async function write(path: string, results: readonly unknown[], key = "key"): Promise<void> {
  const journal = await Journal.open(path, key);
  for (const [index, value] of results.entries()) journal.append(index, value);
  journal.close();
}

Deno.test("Journal.open() makes an empty journal, and the folders above it", () =>
  withFolder(async (folder) => {
    assertEquals(await reopened(`${folder}/a/b/journal`), []);
    assertEquals(await Deno.readTextFile(`${folder}/a/b/journal`), '"key"\n');
  }));

Deno.test("Journal.open() gives the results of an earlier run, in the order they came", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal`, journal = await Journal.open(path, "key");
    journal.append(7, { text: "naïve\nline\u2028end" });
    journal.append(2, null);
    journal.close();
    assertEquals(await reopened(path), [[7, { text: "naïve\nline\u2028end" }], [2, null]]);
  }));

Deno.test("Journal goes on behind what an earlier run left", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal`;
    await write(path, ["zero"]);
    const journal = await Journal.open<string>(path, "key");
    journal.append(1, "one");
    journal.close();
    assertEquals(await reopened(path), [[0, "zero"], [1, "one"]]);
  }));

Deno.test("Journal.append() shows its result at once", () =>
  withFolder(async (folder) => {
    const journal = await Journal.open<string>(`${folder}/journal`, "key");
    journal.append(3, "three");
    assertEquals(journal.entries.get(3), "three");
    journal.close();
  }));

Deno.test("Journal.open() starts anew with another key", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal`;
    await write(path, ["a long result that must not show through", "another"], "old key");
    assertEquals(await reopened(path, "new"), []);
    assertEquals(await Deno.readTextFile(path), '"new"\n');
  }));

for (
  const { torn, kept, why } of [
    { torn: '"key"\n[0,"zero"]\n[1,"on', kept: [[0, "zero"]], why: "in a result" },
    { torn: '"key"\n[0,"zero"]\n[1,"one"]', kept: [[0, "zero"]], why: "before the line feed" },
    { torn: '"key"\n[0,"zero"]\n', kept: [[0, "zero"]], why: "between two results" },
    { torn: '"key"\n[0', kept: [], why: "in the first result" },
    { torn: '"ke', kept: [], why: "in the key" },
    { torn: '"key"', kept: [], why: "behind the key" },
    { torn: "", kept: [], why: "before the key" },
    { torn: '"key"\n[0,"zero"]\n\0\0\0\n[2,"two"]\n', kept: [[0, "zero"]], why: "leaving a damaged line" },
  ] as const
) {
  Deno.test(`Journal.open() keeps the whole results of a journal cut off ${why}, and goes on`, () =>
    withFolder(async (folder) => {
      const path = `${folder}/journal`;
      await writeFiles(folder, { journal: torn });
      const journal = await Journal.open<string>(path, "key");
      assertEquals([...journal.entries], kept as unknown as [number, string][]);
      journal.append(5, "five");
      journal.close();
      assertEquals(await reopened(path), [...kept, [5, "five"]] as [number, string][]);
    }));
}

Deno.test("Journal.open() keeps the whole results of a journal cut off within a character", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal`;
    await write(path, ["zero", "ï"]);
    const bytes = await Deno.readFile(path);
    await Deno.writeFile(path, bytes.subarray(0, bytes.indexOf(0xc3) + 1));
    assertEquals(await reopened(path), [[0, "zero"]]);
  }));

Deno.test("Journal keeps its results when it is killed as the next one is to come", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal`;
    await killWhenReady(
      `import { Journal } from "@core/journal.ts";
       const journal = await Journal.open(${JSON.stringify(path)}, "key");
       journal.append(0, "zero");
       await ready();`,
      folder,
    );
    assertEquals(await reopened(path), [[0, "zero"]]);
  }));

Deno.test("Journal.open() leaves the bytes of what was kept, so that a kill cannot lose them", () =>
  withFolder(async (folder) => {
    // Blanks that it would not write itself.
    const text = '"key"\n[0,  "zero"]\n';
    await writeFiles(folder, { journal: text });
    assertEquals(await reopened(`${folder}/journal`), [[0, "zero"]]);
    assertEquals(await Deno.readTextFile(`${folder}/journal`), text);
  }));

Deno.test("Journal.finish() deletes the file, close() keeps it", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal`;
    (await Journal.open(path, "key")).close();
    assertEquals(await exists(path), true);
    await (await Journal.open(path, "key")).finish();
    assertEquals(await exists(path), false);
  }));

tinyDiskTest("Journal.append() says so when the disk is full, and keeps what was whole", async (disk) => {
  const path = `${disk}/journal`, journal = await Journal.open<string>(path, "key");
  journal.append(0, "zero");
  const error = assertThrows(() => journal.append(1, "x".repeat(1 << 18)), UserError);
  assertEquals([error.kind, error.what], ["data", `Cannot write ${path}: the disk is full`]);
  assertEquals(journal.entries.has(1), false);
  journal.close();
  assertEquals(await reopened(path), [[0, "zero"]]);
});

Deno.test("Journal.open() refuses a path below a file, naming it", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "a.txt": "a file" });
    const error = await assertRejects(() => Journal.open(`${folder}/a.txt/journal`, "key"), UserError);
    assertEquals([error.kind, error.where], ["data", `${folder}/a.txt/journal`]);
  }));
