import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { exists, hashFile, readJson } from "../../core/files.ts";
import { RunFolder, type StageInputs, type StageOutcome } from "../../core/run_folder.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";
import { killWhenReady } from "./_killed.ts";

const INPUTS: StageInputs = { dataset: "facts", seed: 137, options: { b: [1, 2], a: null } };

/** Opens a folder as a command does, and lets go of it. */
async function command<T>(path: string, work: (run: RunFolder) => Promise<T>): Promise<T> {
  using run = await RunFolder.open(path);
  return await work(run);
}

/** Runs a stage "make" that writes `a.txt` and `b/c.txt`. */
function make(
  path: string,
  inputs: StageInputs = INPUTS,
  { text = "made", whenChanged }: { text?: string; whenChanged?: "refuse" | "redo" } = {},
): Promise<StageOutcome> {
  return command(path, (run) =>
    run.stage("make", {
      inputs,
      whenChanged,
      work: async () => {
        await writeFiles(path, { "a.txt": text, "b/c.txt": text });
        return [run.file("a.txt"), run.file("b", "c.txt")];
      },
    }));
}

/** What a file of the folder holds. */
const read = (path: string, name: string) => Deno.readTextFile(`${path}/${name}`);

Deno.test("RunFolder.open() makes the folder, and those above it", () =>
  withFolder(async (folder) => {
    await command(`${folder}/a/b`, () => Promise.resolve());
    assertEquals(await exists(`${folder}/a/b`), true);
  }));

Deno.test("RunFolder.open() refuses a path where a file stands", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { run: "a file" });
    const error = await assertRejects(() => RunFolder.open(`${folder}/run`), UserError);
    assertEquals([error.kind, error.where, error.fix], [
      "data",
      `${folder}/run`,
      "choose another --log-dir",
    ]);
  }));

Deno.test("RunFolder.open() refuses a folder that another program writes to, until that one is done", () =>
  withFolder(async (folder) => {
    const first = await RunFolder.open(folder);
    const error = await assertRejects(() => RunFolder.open(folder), UserError);
    assertEquals([error.kind, error.what], ["usage", `Another program is writing to ${folder}`]);
    first[Symbol.dispose]();
    (await RunFolder.open(folder))[Symbol.dispose]();
  }));

Deno.test("RunFolder.file() joins paths within the folder", () =>
  withFolder((folder) =>
    command(folder, (run) => {
      assertEquals(run.file("metrics", "facts"), `${folder}/metrics/facts`);
      return Promise.resolve();
    })
  ));

Deno.test("RunFolder.stage() records inputs, circumstances, and a hash of each output by its path within", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.txt`;
    const { skipped, record } = await command(folder, (run) =>
      run.stage("make", {
        inputs: INPUTS,
        about: () => Promise.resolve({ adapter: "llvmpipe" }),
        work: async () => {
          await writeFiles(folder, { "a.txt": "made" });
          return [path];
        },
      }));
    assertEquals(skipped, false);
    assertEquals(record.inputs, INPUTS);
    assertEquals(record.about, { adapter: "llvmpipe" });
    assertEquals(record.outputs, { "a.txt": await hashFile(path) });
    assertEquals(new Date(record.started).toISOString(), record.started);
    assertEquals(
      await readJson(`${folder}/run.json`),
      JSON.parse(JSON.stringify({
        version: 1,
        stages: { make: record },
      })),
    );
  }));

Deno.test("RunFolder.stage() skips a stage whose inputs and outputs are as they were, in another command too", () =>
  withFolder(async (folder) => {
    const first = await make(folder);
    const second = await make(folder, { options: { a: null, b: [1, 2] }, seed: 137, dataset: "facts" });
    assertEquals(second, { skipped: true, record: first.record });
  }));

Deno.test("RunFolder.stage() asks for the circumstances only if the stage runs", () =>
  withFolder(async (folder) => {
    await make(folder);
    await command(folder, (run) =>
      run.stage("make", {
        inputs: INPUTS,
        about: () => Promise.reject(new Error("asked in vain")),
        work: () => Promise.reject(new Error("worked in vain")),
      }));
  }));

Deno.test("RunFolder.record() gives what is recorded of a stage, and nothing of another", () =>
  withFolder(async (folder) => {
    const { record } = await make(folder);
    await command(folder, (run) => {
      assertEquals(run.record("make"), record);
      assertEquals(run.record("report"), undefined);
      return Promise.resolve();
    });
  }));

for (
  const { inputs, difference } of [
    { inputs: { ...INPUTS, seed: 138 }, difference: "--seed was 137, is 138" },
    { inputs: { ...INPUTS, limit: 5 }, difference: "--limit was null, is 5" },
    { inputs: { seed: 137, options: INPUTS.options }, difference: 'dataset was "facts", is null' },
    {
      inputs: { ...INPUTS, options: { a: null, b: [2, 1] } },
      difference: "--b was [1,2], is [2,1]",
    },
    {
      inputs: { ...INPUTS, options: { a: 1, b: [1, 2], learningRate: 0.5 }, batchSize: 4 },
      difference: "--a was null, is 1; --learning-rate was null, is 0.5; --batch-size was null, is 4",
    },
    {
      inputs: { seed: 1, dataset: "x", limit: 1, kshot: 1, model: { name: "facts" } },
      difference:
        'dataset was "facts", is "x"; --seed was 137, is 1; options was {"a":null,"b":[1,2]}, is null; ' +
        "--limit was null, is 1; and 2 more",
    },
    {
      inputs: { ...INPUTS, metrics: [{ name: "ece", version: 1 }, { name: "auroc", version: 1 }] },
      difference: "--metric was null, is ece,auroc",
    },
    {
      inputs: { ...INPUTS, adapter: "31ce52023e9bab56db56e3d66334abed2b098afd6c7e714bb0ac8e7a01fd1a65" },
      difference: "--query-peft-dir was null, is 31ce52023e9b…",
    },
    {
      inputs: { ...INPUTS, dataset: "x".repeat(100) },
      difference: `dataset was "facts", is "${"x".repeat(76)}...`,
    },
  ] as { inputs: StageInputs; difference: string }[]
) {
  Deno.test(`RunFolder.stage() refuses other inputs: ${difference}`, () =>
    withFolder(async (folder) => {
      await make(folder);
      const error = await assertRejects(() => make(folder, inputs, { text: "other" }), UserError);
      assertEquals(error.kind, "usage");
      assertEquals(error.what, `The folder holds "make" made with other inputs: ${difference}`);
      assertEquals(await read(folder, "a.txt"), "made");
    }));
}

Deno.test("RunFolder.stage() makes a stage again with other inputs when told to", () =>
  withFolder(async (folder) => {
    await make(folder);
    const inputs = { ...INPUTS, seed: 138 };
    const { skipped } = await make(folder, inputs, { text: "other", whenChanged: "redo" });
    assertEquals([skipped, await read(folder, "a.txt")], [false, "other"]);
    assertEquals((await make(folder, inputs)).skipped, true);
  }));

Deno.test("RunFolder.stage() makes a stage again whose file was deleted", () =>
  withFolder(async (folder) => {
    await make(folder);
    await Deno.remove(`${folder}/b/c.txt`);
    assertEquals((await make(folder)).skipped, false);
    assertEquals(await read(folder, "b/c.txt"), "made");
  }));

Deno.test("RunFolder.stage() makes a stage with other inputs once all its files are deleted", () =>
  withFolder(async (folder) => {
    await make(folder);
    await Deno.remove(`${folder}/a.txt`);
    const other = { ...INPUTS, seed: 138 };
    await assertRejects(() => make(folder, other), UserError, "made with other inputs");
    await Deno.remove(`${folder}/b/c.txt`);
    assertEquals((await make(folder, other)).skipped, false);
  }));

for (const whenChanged of ["refuse", "redo"] as const) {
  Deno.test(`RunFolder.stage() refuses to take a changed file for its own, and leaves it (${whenChanged})`, () =>
    withFolder(async (folder) => {
      await make(folder);
      await writeFiles(folder, { "b/c.txt": "edited by hand" });
      const error = await assertRejects(() => make(folder, INPUTS, { whenChanged }), UserError);
      assertEquals([error.kind, error.what], ["data", 'b/c.txt was changed since "make" wrote it']);
      assertEquals(error.where, `${folder}/b/c.txt`);
      assertEquals(await read(folder, "b/c.txt"), "edited by hand");
    }));
}

Deno.test("RunFolder.stage() keeps what is recorded of other stages", () =>
  withFolder(async (folder) => {
    await make(folder);
    await command(folder, (run) => run.stage("report", { inputs: {}, work: () => Promise.resolve([]) }));
    assertEquals((await make(folder)).skipped, true);
  }));

Deno.test("RunFolder.stage() records nothing of a stage that fails, and runs it again", () =>
  withFolder(async (folder) => {
    const failing = () =>
      command(
        folder,
        (run) => run.stage("make", { inputs: INPUTS, work: () => Promise.reject(new RangeError("broke")) }),
      );
    await assertRejects(failing, RangeError, "broke");
    assertEquals(await exists(`${folder}/run.json`), false);
    assertEquals((await make(folder)).skipped, false);
  }));

Deno.test("RunFolder.stage() runs again after a kill between its outputs and the manifest", () =>
  withFolder(async (folder) => {
    await killWhenReady(
      `import { RunFolder } from "@core/run_folder.ts";
       const run = await RunFolder.open(${JSON.stringify(folder)});
       await run.stage("make", {
         inputs: ${JSON.stringify(INPUTS)},
         async work() {
           await Deno.writeTextFile(run.file("a.txt"), "half made");
           return [run.file("a.txt")];
         },
         async about() {
           await ready();
           return {};
         },
       });`,
      folder,
    );
    assertEquals(await read(folder, "a.txt"), "half made");
    assertEquals((await make(folder)).skipped, false);
    assertEquals(await read(folder, "a.txt"), "made");
  }));

for (
  const [what, text] of [
    ["cut short", '{"version": 1, "stages": {"make": {'],
    ["empty", ""],
    ["not an object", "null"],
    ["of another program", '{"name": "app", "version": "1.0"}'],
    ["of another version", '{"version": 2, "stages": {}}'],
    ["without stages", '{"version": 1, "stages": null}'],
    ["without a stage's outputs", '{"version": 1, "stages": {"make": {"inputs": {}}}}'],
  ]
) {
  Deno.test(`RunFolder.open() refuses a run.json that is ${what}, and leaves it`, () =>
    withFolder(async (folder) => {
      await writeFiles(folder, { "run.json": text });
      // Twice: the first refusal has let go of the folder.
      for (let attempt = 0; attempt < 2; attempt++) {
        const error = await assertRejects(() => RunFolder.open(folder), UserError);
        assertEquals([error.kind, error.where], ["data", `${folder}/run.json`]);
      }
      assertEquals(await read(folder, "run.json"), text);
    }));
}

// Unfinished files.

const UNFINISHED = /^checkpoint-\d+$/;

const claim = (folder: string, inputs: StageInputs, whenChanged?: "refuse" | "redo") =>
  command(folder, (run) => run.claim("train", inputs, UNFINISHED, whenChanged));

Deno.test("RunFolder.claim() writes the inputs beside the unfinished files", () =>
  withFolder(async (folder) => {
    await claim(folder, INPUTS);
    assertEquals(await readJson(`${folder}/train.json`), INPUTS);
  }));

Deno.test("RunFolder.claim() leaves unfinished files of the same inputs, to go on with", () =>
  withFolder(async (folder) => {
    await claim(folder, INPUTS);
    await writeFiles(folder, { "checkpoint-5/adapter": "trained" });
    await claim(folder, INPUTS);
    assertEquals(await read(folder, "checkpoint-5/adapter"), "trained");
  }));

Deno.test("RunFolder.claim() refuses unfinished files of other inputs, naming the difference", () =>
  withFolder(async (folder) => {
    await claim(folder, INPUTS);
    await writeFiles(folder, { "checkpoint-5/adapter": "trained" });
    const error = await assertRejects(() => claim(folder, { ...INPUTS, seed: 1 }), UserError);
    assertEquals(error.kind, "usage");
    assertStringIncludes(error.what, "seed was 137, is 1");
    assertEquals(await read(folder, "checkpoint-5/adapter"), "trained");
    assertEquals(await readJson(`${folder}/train.json`), INPUTS);
  }));

Deno.test("RunFolder.claim() refuses files that nobody claimed, instead of deleting them", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "checkpoint-5/adapter": "someone else's" });
    const error = await assertRejects(() => claim(folder, INPUTS), UserError);
    assertEquals([error.kind, error.where], ["usage", `${folder}/checkpoint-5`]);
    assertEquals(error.what, 'The folder holds checkpoint-5, and nothing says that "train" made it');
    assertEquals(await read(folder, "checkpoint-5/adapter"), "someone else's");
  }));

Deno.test("RunFolder.claim() deletes the unfinished files of other inputs when told to, and no others", () =>
  withFolder(async (folder) => {
    await claim(folder, INPUTS);
    await writeFiles(folder, {
      "checkpoint-5/adapter": "trained",
      "checkpoint-x": "mine",
      "notes.txt": "mine",
    });
    await claim(folder, { ...INPUTS, seed: 1 }, "redo");
    assertEquals(await exists(`${folder}/checkpoint-5`), false);
    assertEquals([await read(folder, "checkpoint-x"), await read(folder, "notes.txt")], ["mine", "mine"]);
    assertEquals(await readJson(`${folder}/train.json`), { ...INPUTS, seed: 1 });
  }));

Deno.test("RunFolder.claim() takes over a claim of which no file is left", () =>
  withFolder(async (folder) => {
    await claim(folder, INPUTS);
    await claim(folder, { ...INPUTS, seed: 1 });
    assertEquals(await readJson(`${folder}/train.json`), { ...INPUTS, seed: 1 });
  }));

// Starting anew.

Deno.test("RunFolder.setAside() moves a stage's files and its entry into a run folder of their own, and no others", () =>
  withFolder(async (folder) => {
    await claim(folder, INPUTS);
    await writeFiles(folder, { "checkpoint-5/adapter": "trained", "notes.txt": "mine" });
    const { record } = await command(folder, async (run) => {
      await run.stage("other", { inputs: {}, work: () => Promise.resolve([run.file("notes.txt")]) });
      await run.stage("scale", {
        inputs: {},
        work: () => Promise.resolve([run.file("checkpoint-5/adapter")]),
      });
      return await run.stage("train", {
        inputs: INPUTS,
        work: () => Promise.resolve([run.file("train.json")]),
      });
    });
    const moved = await command(folder, (run) => run.setAside("train", UNFINISHED));
    assertEquals(moved, { folder: `${folder}/earlier-1`, names: ["checkpoint-5", "train.json"] });
    assertEquals(await read(folder, "notes.txt"), "mine");
    assertEquals(await exists(`${folder}/checkpoint-5`), false);
    await command(folder, (run) => {
      assertEquals(["train", "scale", "other"].map((stage) => run.record(stage) !== undefined), [
        false,
        false,
        true,
      ]);
      return Promise.resolve();
    });
    await command(`${folder}/earlier-1`, (run) => {
      assertEquals([run.record("train"), run.record("other")], [record, undefined]);
      assertEquals(run.record("scale")?.inputs, {});
      return Promise.resolve();
    });
    assertEquals(await read(folder, "earlier-1/checkpoint-5/adapter"), "trained");
  }));

Deno.test("RunFolder.setAside() makes a new folder each time, and none where nothing is to be moved", () =>
  withFolder(async (folder) => {
    const aside = () => command(folder, (run) => run.setAside("train", UNFINISHED));
    assertEquals(await aside(), undefined);
    for (const number of [1, 2, 3]) {
      await writeFiles(folder, { [`checkpoint-${number}/adapter`]: "trained" });
      assertEquals((await aside())?.folder, `${folder}/earlier-${number}`);
    }
    assertEquals(await aside(), undefined);
    assertEquals(await exists(`${folder}/earlier-4`), false);
  }));
