import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { UserError } from "@credence/credence";
import {
  hashExamples,
  newestCheckpoint,
  saveCheckpoint,
} from "../../../plugins/methods/training_checkpoint.ts";
import { withFolder } from "../_folders.ts";
import { namesIn } from "./_training.ts";

const TRAINING = { model: "fake", options: { lr: 0.5 } };

/** Writes a checkpoint with one file. */
const save = (folder: string, step: number, text = "weights") =>
  saveCheckpoint(folder, step, TRAINING, async (path) => {
    await Deno.mkdir(path);
    await Deno.writeTextFile(join(path, "weights"), text);
  });

Deno.test("newestCheckpoint() finds what saveCheckpoint() wrote, by its step and not by its name", () =>
  withFolder(async (folder) => {
    assertEquals(await newestCheckpoint(join(folder, "none"), TRAINING), undefined);
    assertEquals(await newestCheckpoint(folder, TRAINING), undefined);
    await save(folder, 10);
    await save(folder, 9);
    assertEquals(await newestCheckpoint(folder, TRAINING), join(folder, "checkpoint-10"));
  }));

Deno.test("newestCheckpoint() compares only the newest complete checkpoint with the training", () =>
  withFolder(async (folder) => {
    await save(folder, 1);
    await Deno.mkdir(join(folder, "checkpoint-2"));
    assertEquals(await newestCheckpoint(folder, TRAINING), join(folder, "checkpoint-1"));
    await assertRejects(
      () => newestCheckpoint(folder, { ...TRAINING, options: { lr: 1 } }),
      UserError,
      "The checkpoint is of another training: options.lr was 0.5, is 1",
    );
  }));

Deno.test("saveCheckpoint() leaves nothing under the final name when writing fails, and clears up the next time", () =>
  withFolder(async (folder) => {
    const fails = async (path: string) => {
      await Deno.mkdir(path);
      await Deno.writeTextFile(join(path, "half"), "");
      throw new Error("the disk is full");
    };
    await assertRejects(() => saveCheckpoint(folder, 3, TRAINING, fails), Error, "the disk is full");
    assertEquals(await newestCheckpoint(folder, TRAINING), undefined);
    assertEquals(await namesIn(folder), ["checkpoint-3.tmp"]);
    await save(folder, 3);
    assertEquals(await namesIn(folder), ["checkpoint-3"]);
    assertEquals(await namesIn(join(folder, "checkpoint-3")), ["trainer_state.json", "weights"]);
  }));

Deno.test("saveCheckpoint() writes the same bytes for the same training", () =>
  withFolder(async (folder) => {
    const texts = await Promise.all(["1", "2"].map(async (name) => {
      await Deno.mkdir(join(folder, name));
      return await Deno.readTextFile(join(await save(join(folder, name), 4), "trainer_state.json"));
    }));
    assertEquals(texts[0], texts[1]);
    assertEquals(JSON.parse(texts[0]), { global_step: 4, training: TRAINING });
  }));

Deno.test("hashExamples() tells lists apart by what is in them, their order, and where one ends", () => {
  const [a, b] = [{ id: 1 }, { id: 2 }];
  const hash = hashExamples([a, b], []);
  assertEquals(hashExamples([{ ...a }, { ...b }], []), hash);
  for (const other of [hashExamples([b, a], []), hashExamples([a], [b]), hashExamples([a, b, a], [])]) {
    assertNotEquals(other, hash);
  }
});
