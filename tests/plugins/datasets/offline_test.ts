import { assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  builtins,
  type Dataset,
  type DatasetRequest,
  type Label,
  offline,
  type Split,
  type StoredRow,
  UserError,
  writeRows,
} from "@credence/credence";
import { testDataset } from "@credence/credence/testing";
import { FakeHub } from "../../core/hub/_fake_hub.ts";
import { all, withEnvironment, withFolder, writeFiles } from "../_folders.ts";

const request = (argument: string, more: Partial<DatasetRequest> = {}): DatasetRequest => ({
  argument,
  options: {},
  ...more,
});

const read = (split: Split, asked: DatasetRequest) =>
  all(offline.read!(split, asked)) as Promise<StoredRow[]>;

/** A row as the stages write it. */
const row = (name: string, label?: Label): StoredRow & { output: string } => ({
  id: name,
  split: "test",
  prompt: "",
  context: `Question: ${name}?`,
  targetPrompt: "\nAnswer:",
  target: name,
  output: `${name}, I think`,
  ...(label === undefined ? {} : { label }),
});

const HEADER = "context,target,target_prompt,prompt,output,query_label\n";

Deno.test("offline reads the labels that a stage wrote: right, wrong and undecided", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/train/0.csv`, [row("a", 1), row("b", 0), row("c", null)]);
    const rows = await read("train", request(folder));
    assertEquals(rows.map(({ label }) => label), [1, 0, null]);
    assertEquals(rows.map(({ output }) => output), ["a, I think", "b, I think", "c, I think"]);
    assertEquals(rows.map(({ split }) => split), ["train", "train", "train"]);
  }));

Deno.test("offline gives answers that nobody has labelled without a label", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/test/rows_0.csv`, [row("a")]);
    const [answer] = await read("test", request(folder));
    assertEquals(answer.output, "a, I think");
    assertEquals("label" in answer, false);
  }));

Deno.test("offline reads the research code's files, which need neither prompt nor output", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, {
      "test/rows_0.csv": 'context,target,target_prompt\n"Question: a?",A,"\nAnswer:"\n',
    });
    const [{ prompt, context, targetPrompt, target, output }] = await read("test", request(folder));
    assertEquals([prompt, context, targetPrompt, target], ["", "Question: a?", "\nAnswer:", "A"]);
    assertEquals(output, undefined);
  }));

Deno.test("offline finds the research code's <data-dir>/offline/<name>-<style>", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/offline/answers-oe/test/0.csv`, [row("a", 1)]);
    const asked = request("answers", { dataDir: folder, promptStyle: "oe" });
    assertEquals((await read("test", asked)).length, 1);
    await assertRejects(
      () => read("test", { ...asked, promptStyle: "choice" }),
      UserError,
      `no ${folder}/offline/answers-choice`,
    );
  }));

Deno.test("offline joins the files of a split in the order of their names, and reads nothing but CSV", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/test/rows_1.csv`, [row("second")]);
    await writeRows(`${folder}/test/rows_0.csv`, [row("first")]);
    await writeFiles(folder, { "test/embedding.npy": "not text", "test/old.csv/inside.csv": "no rows" });
    const rows = await read("test", request(folder));
    assertEquals(rows.map(({ target }) => target), ["first", "second"]);
  }));

Deno.test("offline keeps ids apart when a row stands in two files, or twice in one", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/test/rows_0.csv`, [row("a"), row("a"), row("b")]);
    await writeRows(`${folder}/test/rows_1.csv`, [row("a"), row("a"), row("b")]);
    const rows = await read("test", request(folder));
    assertEquals(new Set(rows.map(({ id }) => id)).size, 6);
  }));

Deno.test("offline gives a row the same id whichever rows stand beside it", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/one/test/0.csv`, [row("a"), row("b")]);
    await writeRows(`${folder}/two/test/0.csv`, [row("b")]);
    const [, b] = await read("test", request(`${folder}/one`));
    assertEquals((await read("test", request(`${folder}/two`)))[0].id, b.id);
  }));

Deno.test("offline yields nothing for a file with a header only", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "test/0.csv": HEADER });
    assertEquals(await read("test", request(folder)), []);
  }));

Deno.test("offline refuses an empty file, naming it", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "test/0.csv": "" });
    const error = await assertRejects(() => read("test", request(folder)), UserError, "The file is empty");
    assertEquals([error.where, error.kind], [`${folder}/test/0.csv`, "data"]);
  }));

Deno.test("offline refuses a folder that is not there, naming both places where it looked", () =>
  withFolder(async (folder) => {
    const asked = request(`${folder}/nowhere`, { dataDir: folder, promptStyle: "oe" });
    const error = await assertRejects(() => read("test", asked), UserError);
    assertStringIncludes(error.what, `There is no folder ${folder}/nowhere and no ${folder}/offline/`);
    assertEquals(error.kind, "data");
  }));

Deno.test("offline refuses a file in place of a folder", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/rows.csv`, [row("a")]);
    const error = await assertRejects(() => read("test", request(`${folder}/rows.csv`)), UserError);
    assertEquals([error.what, error.kind], [`There is no folder ${folder}/rows.csv`, "data"]);
  }));

Deno.test("offline knows which splits a folder has before it is read", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "train/0.csv": HEADER, "test/0.csv": HEADER, "validation": "a file" });
    assertEquals(await offline.available!(request(folder)), ["train", "test"]);
    await assertRejects(() => offline.available!(request(`${folder}/none`)), UserError, "There is no folder");
  }));

Deno.test("offline says which splits a folder has when the one asked for is missing or without files", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/train/0.csv`, [row("a")]);
    await Deno.mkdir(`${folder}/test`);
    for (const split of ["validation", "test"] as const) {
      const error = await assertRejects(() => read(split, request(folder)), UserError);
      assertEquals([error.what, error.where], [`There is no ${split} split`, `${folder}/${split}`]);
      assertStringIncludes(error.fix, "train");
    }
  }));

Deno.test("offline says to run the earlier stage when the folder is empty", () =>
  withFolder(async (folder) => {
    const error = await assertRejects(() => read("test", request(folder)), UserError);
    assertEquals(error.fix, "run the stage that writes it first");
  }));

Deno.test("offline needs a folder behind the colon", async () => {
  const error = await assertRejects(() => read("test", request("")), UserError, "offline needs a folder");
  assertEquals(error.kind, "usage");
});

Deno.test("offline's revision changes with the contents of any split, and not with anything else", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/train/0.csv`, [row("a", 1)]);
    await writeRows(`${folder}/test/0.csv`, [row("b", 1)]);
    const before = await offline.revision!(request(folder));
    await writeFiles(folder, { "notes.txt": "x" });
    assertEquals(await offline.revision!(request(folder)), before);
    await writeRows(`${folder}/train/0.csv`, [row("a", 0)]);
    assertNotEquals(await offline.revision!(request(folder)), before);
  }));

const written = await Deno.makeTempDir();
await writeRows(`${written}/train/0.csv`, [row("a", 1), row("b", 0)]);
await writeRows(`${written}/test/0.csv`, [row("c", 1)]);
globalThis.addEventListener("unload", () => Deno.removeSync(written, { recursive: true }));

testDataset(offline, { request: { argument: written }, rows: { train: 2, test: 1 } });

// Parts, tasks and the Hub.

const find = (name: string) =>
  builtins.find((plugin): plugin is Dataset => plugin.kind === "dataset" && plugin.name === name)!;

Deno.test("offline_xxs to offline_md are parts of each split, without replacement, the smaller within the larger", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/train/0.csv`, Array.from({ length: 200 }, (_, i) => row(`r${i}`, 1)));
    const whole = (await read("train", request(folder))).map(({ id }) => id);
    let smaller: string[] = [];
    for (const [size, count] of Object.entries({ xxs: 2, xs: 20, sm: 50, md: 100 })) {
      const part = await all(find(`offline_${size}`).read!("train", request(folder))) as StoredRow[];
      const ids = part.map(({ id }) => id);
      assertEquals([size, ids.length, new Set(ids).size], [size, count, count]);
      assertEquals(smaller.filter((id) => !ids.includes(id)), []);
      // In the order of the whole.
      assertEquals(ids, whole.filter((id) => ids.includes(id)));
      smaller = ids;
    }
  }));

Deno.test("A part has at least one row", () =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/train/0.csv`, [row("a", 1), row("b", 0)]);
    assertEquals((await all(find("offline_xxs").read!("train", request(folder)))).length, 1);
  }));

for (
  const [name, task, other] of [["mmlu_offline", "anatomy", "virology"], ["mmlu_pro_offline", "law", "math"]]
) {
  Deno.test(`${name} reads the answers to one subject, of one prompt style, and ${name}_all those to all there are`, () =>
    withFolder(async (folder) => {
      await writeRows(`${folder}/${name}/oe/mine/${task}/test/0.csv`, [row("a", 1)]);
      await writeRows(`${folder}/${name}/oe/mine/${other}/test/0.csv`, [row("b", 0)]);
      const asked = { dataDir: folder, promptStyle: "oe" };
      const rows = await all(find(name).read!("test", request(`mine:${task}`, asked))) as StoredRow[];
      assertEquals(rows.map(({ target, group }) => [target, group]), [["a", task]]);
      assertEquals(await find(`${name}_all`).expand!(request("mine", asked)), [
        `${name}:mine:${task}`,
        `${name}:mine:${other}`,
      ]);
      const missing = await assertRejects(
        () => all(find(name).read!("test", request(`mine:${task}`, { ...asked, promptStyle: "choice" }))),
        UserError,
      );
      assertEquals([missing.kind, missing.what], [
        "data",
        `There is no folder ${folder}/${name}/choice/mine/${task}`,
      ]);
      assertEquals(find(name).tags, ["eval"]);
    }));
}

Deno.test("offline reads the research code's released answers from the Hub as they are, and then from its cache", () =>
  withFolder(async (folder) => {
    await using hub = new FakeHub();
    const csv = (text: string, label: number) =>
      `context,target,target_prompt,prompt,output,query_label\n"${text}",A,"\nAnswer:",,A,${label}\n`;
    hub.repositories["calibration-tuning/some-model-20k-oe"] = {
      type: "dataset",
      files: {
        "README.md": "about it",
        "train/0.csv": csv("Question: a?", 1),
        "train/1.csv": csv("Question: b?", 0),
        "validation/0.csv": csv("Question: c?", 1),
        "test/0.csv": csv("Question: d?", 0),
        "other/0.csv": csv("Question: e?", 0),
      },
    };
    const environment = { HF_HOME: folder, HF_HUB_CACHE: "", HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: "" };
    const asked = request("hf:calibration-tuning/some-model-20k-oe");
    const contexts = async (split: Split) => (await read(split, asked)).map(({ context }) => context);
    await withEnvironment(environment, async () => {
      assertEquals(await offline.available!(asked), ["train", "validation", "test"]);
      assertEquals(await contexts("train"), ["Question: a?", "Question: b?"]);
      assertEquals((await read("train", asked)).map(({ label }) => label), [1, 0]);
    });
    await withEnvironment({ ...environment, HF_ENDPOINT: "", HF_HUB_OFFLINE: "1" }, async () => {
      assertEquals(await contexts("test"), ["Question: d?"]);
    });
  }));
