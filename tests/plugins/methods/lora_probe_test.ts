import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { loraProbe, type LoraProbeOptions, probe, resolveOptions, UserError } from "@credence/credence";
import { testMethod } from "@credence/credence/testing";
import { withFolder } from "../_folders.ts";
import { CountingModel, scoresOf, trainWith } from "./_class_rows.ts";
import { RecordingModel } from "./_recording_model.ts";
import { namesIn, row, rows } from "./_training.ts";

testMethod(loraProbe, { options: { lr: 0.5 } });

Deno.test("lora-probe trains on one class loss a row, at the last token of the answer", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    await trainWith(loraProbe, folder, model, { batchSize: 12, maxSteps: 1 });
    const [{ prefix, branches, losses }] = model.batches[0].filter(({ id }) => id === 1);
    assertEquals(model.tokenizer.decode(prefix), "Question: number 1?\nAnswer: good 1");
    const end = prefix.length;
    assertEquals([branches, losses], [[[]], [
      { kind: "class", branch: 0, first: end - 1, end, label: 1, weight: 1 },
    ]]);
  }));

Deno.test("lora-probe with --position=answer-mean reads all tokens of the answer", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    await trainWith(loraProbe, folder, model, { maxSteps: 1, options: { position: "answer-mean" } });
    const [{ prefix, losses: [loss] }] = model.batches[0];
    assert(loss.kind === "class");
    assertEquals([loss.first, loss.end], [prefix.length - 2, prefix.length]);
  }));

Deno.test("lora-probe writes adapter, classifier and what it reads into each checkpoint, and goes on from one", () =>
  withFolder(async (folder) => {
    const straight = await trainWith(loraProbe, join(folder, "straight"), new RecordingModel(), {
      maxSteps: 20,
    });
    assertEquals(await namesIn(straight), [
      "classifier_config.json",
      "fake_adapter.json",
      "fake_classifier.json",
      "fake_trainer.json",
      "trainer_state.json",
    ]);
    const cut = join(folder, "cut");
    const log = (step: number) => {
      if (step === 7) throw new Error("cut off");
    };
    await assertRejects(
      () => trainWith(loraProbe, cut, new RecordingModel(), { maxSteps: 20, log }),
      Error,
      "cut off",
    );
    const after = new RecordingModel();
    const resumed = await trainWith(loraProbe, cut, after, { maxSteps: 20 });
    // The last checkpoint is of step 6.
    assertEquals(after.batches.length, 14);
    const classifierOf = (checkpoint: string) => Deno.readTextFile(join(checkpoint, "fake_classifier.json"));
    assertEquals(await classifierOf(resumed), await classifierOf(straight));
  }));

Deno.test("a checkpoint of lora-probe gives the same to probe, which uses the adapter beside the classifier", () =>
  withFolder(async (folder) => {
    const adapters: unknown[] = [];
    const model = new class extends CountingModel {
      override hiddenStates(...given: Parameters<CountingModel["hiddenStates"]>) {
        adapters.push(given[1].adapter);
        return super.hiddenStates(...given);
      }
    }();
    const checkpoint = await trainWith(loraProbe, folder, model);
    await Deno.writeTextFile(join(checkpoint, "adapter_config.json"), "{}");
    assertEquals(await scoresOf(probe, model, checkpoint), await scoresOf(loraProbe, model, checkpoint));
    assertEquals(adapters.map((adapter) => adapter !== undefined), [true, true]);
  }));

for (
  const [options, what] of [
    [{ position: "end" }, 'Option "position" is "end"'],
    [{ head: "deep" }, 'Option "head" is "deep"'],
    [{ loraRank: 0 }, 'Option "loraRank" is 0'],
  ] as const
) {
  Deno.test(`lora-probe refuses options ${JSON.stringify(options)}`, () =>
    withFolder(async (folder) => {
      await assertRejects(
        () =>
          trainWith(loraProbe, folder, new CountingModel(), {
            options: options as unknown as Partial<LoraProbeOptions>,
          }),
        UserError,
        what,
      );
      assertThrows(() => resolveOptions(loraProbe, options), UserError, what);
    }));
}

Deno.test("lora-probe refuses training rows of one class, and a row that is too long, naming it", () =>
  withFolder(async (folder) => {
    const train = [row("train", 0, 1), row("train", 1, 1)];
    await assertRejects(
      () => trainWith(loraProbe, folder, new CountingModel(), { train }),
      UserError,
      "labelled 1",
    );
    const short = new CountingModel({ contextLength: 3 });
    await assertRejects(
      () => trainWith(loraProbe, folder, short, { train: rows("train", 2) }),
      UserError,
      "row train/0",
    );
  }));
