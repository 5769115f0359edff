import { assert, assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { exists, type LoraPromptOptions, UserError } from "@credence/credence";
import { withFolder } from "../_folders.ts";
import { RecordingModel } from "./_recording_model.ts";
import { adapterOf, idsOf, namesIn, row, rows, train, type Training, type Values } from "./_training.ts";

// Steps and their rows.

Deno.test("Training an adapter reads all rows once before it reads one twice, in another order each time", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    await train(folder, model, { maxSteps: 6 });
    const ids = idsOf(model), first = ids.slice(0, 12), second = ids.slice(12);
    for (const epoch of [first, second]) {
      assertEquals(epoch.toSorted((a, b) => a - b), Array.from({ length: 12 }, (_, index) => index));
    }
    assert(`${first}` !== `${second}`, "both epochs have one order");
  }));

Deno.test("Training an adapter reads the rows in one order whatever the size of the batches", () =>
  withFolder(async (folder) => {
    const orders: number[][] = [];
    for (const batchSize of [1, 3, 5, 30]) {
      const model = new RecordingModel();
      await train(join(folder, `${batchSize}`), model, { batchSize, maxSteps: 30 / batchSize });
      assertEquals(new Set(model.batches.map(({ length }) => length)), new Set([batchSize]));
      orders.push(idsOf(model));
    }
    for (const order of orders) assertEquals(order, orders[0]);
  }));

Deno.test("Training an adapter reads the rows in another order with another seed", () =>
  withFolder(async (folder) => {
    const one = new RecordingModel(), other = new RecordingModel();
    await train(join(folder, "1"), one, { seed: 1 });
    await train(join(folder, "2"), other, { seed: 2 });
    assert(`${idsOf(one)}` !== `${idsOf(other)}`);
  }));

Deno.test("Training reads decided rows only", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    const train3 = [row("train", 0, 0), row("train", 1, null), row("train", 2, 1)];
    await train(folder, model, { train: train3, validation: [row("validation", 0, null)], maxSteps: 2 });
    assertEquals(new Set(idsOf(model)), new Set([0, 1]));
    assertEquals(model.evaluated, []);
  }));

Deno.test("The learning rate rises over the warm-up and falls along half a cosine", () =>
  withFolder(async (folder) => {
    const rates: number[] = [];
    const log = (_: number, values: Values) => {
      if (values.learning_rate !== undefined) rates.push(values.learning_rate);
    };
    await train(folder, new RecordingModel(), { options: { lr: 0.1, warmupRatio: 0.4 }, maxSteps: 5, log });
    // Two steps of warm-up, then cos(0), cos(π/3), cos(2π/3).
    const expected = [0, 0.05, 0.1, 0.075, 0.025];
    rates.forEach((rate, step) => assertAlmostEquals(rate, expected[step], 1e-12));
    assertEquals(rates.length, 5);
  }));

Deno.test("The learning rate begins at the highest learning rate where there is no warm-up", () =>
  withFolder(async (folder) => {
    const rates: number[] = [];
    const log = (_: number, { learning_rate }: Values) => {
      if (learning_rate !== undefined) rates.push(learning_rate);
    };
    await train(folder, new RecordingModel(), { options: { lr: 0.1 }, maxSteps: 2, log });
    assertAlmostEquals(rates[0], 0.1, 1e-12);
    assertAlmostEquals(rates[1], 0.05, 1e-12);
  }));

Deno.test("A step of four batches of three rows is a step of one batch of twelve", () =>
  withFolder(async (folder) => {
    const apart = new RecordingModel(), together = new RecordingModel();
    const options = { gradientAccumulationSteps: 4 };
    const one = await train(join(folder, "1"), apart, { batchSize: 3, options, maxSteps: 3 });
    const other = await train(join(folder, "2"), together, { batchSize: 12, maxSteps: 3 });
    assertEquals(apart.microBatches, [4, 4, 4]);
    assertEquals(together.microBatches, [1, 1, 1]);
    assertEquals(idsOf(apart), idsOf(together));
    assertEquals(await adapterOf(one), await adapterOf(other));
  }));

Deno.test("A step logs the rows and tokens it reads in a second", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel(), ratios: number[] = [];
    const log = (_: number, { examples_per_second: rows, tokens_per_second: tokens }: Values) => {
      if (rows > 0) ratios.push(tokens / rows);
    };
    await train(folder, model, { maxSteps: 5, log });
    const tokens = model.batches.map((batch) =>
      batch.reduce((sum, { prefix, branches }) => sum + prefix.length + branches.flat().length, 0)
    );
    assertEquals(ratios.length, 5);
    ratios.forEach((ratio, step) => assertAlmostEquals(ratio, tokens[step] / 4, 1e-9));
  }));

// Checkpoints.

Deno.test("Training an adapter writes ten checkpoints, each whole, and names the last", () =>
  withFolder(async (folder) => {
    const last = await train(folder, new RecordingModel(), { maxSteps: 20 });
    assertEquals(last, join(folder, "checkpoint-20"));
    const names = await namesIn(folder);
    assertEquals(names.length, 10);
    for (const name of names) {
      assertEquals(await namesIn(join(folder, name)), [
        "fake_adapter.json",
        "fake_trainer.json",
        "trainer_state.json",
      ]);
    }
  }));

Deno.test("Training an adapter writes the last step's checkpoint when ten do not divide the steps", () =>
  withFolder(async (folder) => {
    const last = await train(folder, new RecordingModel(), { maxSteps: 11 });
    assertEquals(last, join(folder, "checkpoint-11"));
    assertEquals((await namesIn(folder)).length, 6);
  }));

/** Trains until a step is logged, then is cut off. */
async function interrupt(
  folder: string,
  step: number,
  options: Partial<LoraPromptOptions> = {},
): Promise<RecordingModel> {
  const model = new RecordingModel();
  const log = (at: number) => {
    if (at === step) throw new Error("cut off");
  };
  await assertRejects(() => train(folder, model, { maxSteps: 20, log, options }), Error, "cut off");
  return model;
}

Deno.test("Training an adapter goes on where it was cut off, and ends where it would have without", () =>
  withFolder(async (folder) => {
    const whole = new RecordingModel();
    const straight = await train(join(folder, "straight"), whole, { maxSteps: 20 });
    const before = await interrupt(join(folder, "cut"), 7);
    const after = new RecordingModel();
    const resumed = await train(join(folder, "cut"), after, { maxSteps: 20 });
    assertEquals(await adapterOf(resumed), await adapterOf(straight));
    // The last checkpoint is of step 6, so the seventh step is taken again.
    assertEquals(after.batches.length, 14);
    assertEquals(idsOf(after), idsOf(whole).slice(6 * 4));
    assertEquals(idsOf(before), idsOf(whole).slice(0, 7 * 4));
  }));

Deno.test("Training an adapter takes no step when its folder holds the last checkpoint already", () =>
  withFolder(async (folder) => {
    const last = await train(folder, new RecordingModel());
    const again = new RecordingModel();
    assertEquals(await train(folder, again), last);
    assertEquals(again.batches, []);
  }));

Deno.test("Training an adapter takes checkpoint-10 for newer than checkpoint-9", () =>
  withFolder(async (folder) => {
    await interrupt(folder, 11, { saveSteps: 1 });
    const model = new RecordingModel();
    await train(folder, model, { maxSteps: 20, options: { saveSteps: 1 } });
    assertEquals(model.batches.length, 10);
  }));

Deno.test("Training an adapter goes on from an earlier checkpoint when the newest is not complete, and replaces that", () =>
  withFolder(async (folder) => {
    await interrupt(folder, 7);
    const torn = join(folder, "checkpoint-6");
    await Deno.remove(join(torn, "trainer_state.json"));
    await Deno.writeTextFile(join(torn, "fake_adapter.json"), '{"opt');
    const model = new RecordingModel();
    await train(folder, model, { maxSteps: 20 });
    assertEquals(model.batches.length, 16);
    assert(await exists(join(torn, "trainer_state.json")));
  }));

Deno.test("Training an adapter does not go on from a checkpoint under its temporary name, and clears it away", () =>
  withFolder(async (folder) => {
    const complete = await train(join(folder, "other"), new RecordingModel(), { maxSteps: 1 });
    const cut = join(folder, "cut");
    await Deno.mkdir(cut);
    await Deno.rename(complete, join(cut, "checkpoint-1.tmp"));
    await Deno.writeTextFile(join(cut, "checkpoint-1.tmp", "left over"), "");
    const model = new RecordingModel();
    await train(cut, model, { maxSteps: 1 });
    assertEquals(model.batches.length, 1);
    assertEquals(await namesIn(cut), ["checkpoint-1"]);
    assertEquals(await exists(join(cut, "checkpoint-1", "left over")), false);
  }));

Deno.test("Training an adapter starts anew beside folders that are no checkpoints of its own", () =>
  withFolder(async (folder) => {
    for (const name of ["checkpoint-", "checkpoint-5a", "old-checkpoint-5"]) {
      await Deno.mkdir(join(folder, name));
      await Deno.writeTextFile(join(folder, name, "trainer_state.json"), "{}");
    }
    const model = new RecordingModel();
    await train(folder, model);
    assertEquals(model.batches.length, 10);
  }));

Deno.test("Training an adapter writes a checkpoint every saveSteps, and after the last step", () =>
  withFolder(async (folder) => {
    await train(folder, new RecordingModel(), { maxSteps: 20, options: { saveSteps: 8 } });
    assertEquals(await namesIn(folder), ["checkpoint-16", "checkpoint-20", "checkpoint-8"]);
  }));

Deno.test.each<{ what: string; given: Training; difference: string }>([
  { what: "options", given: { options: { lr: 0.25 } }, difference: "options.lr was 0.5, is 0.25" },
  { what: "batches", given: { batchSize: 2 }, difference: "batchSize was 4, is 2" },
  { what: "steps", given: { maxSteps: 30 }, difference: "maxSteps was 20, is 30" },
  { what: "a seed", given: { seed: 2 }, difference: "dropoutSeed was " },
  { what: "rows", given: { train: rows("train", 10) }, difference: "examples was " },
  { what: "validation rows", given: { validation: [] }, difference: "examples was " },
])(
  "Training an adapter refuses to go on from a checkpoint of other $what",
  ({ given, difference }) =>
    withFolder(async (folder) => {
      await interrupt(folder, 7);
      const before = await adapterOf(join(folder, "checkpoint-6"));
      const error = await assertRejects(
        () => train(folder, new RecordingModel(), { maxSteps: 20, ...given }),
        UserError,
        `The checkpoint is of another training: ${difference}`,
      );
      assertEquals([error.kind, error.where], ["data", join(folder, "checkpoint-6", "trainer_state.json")]);
      assertEquals(await adapterOf(join(folder, "checkpoint-6")), before);
    }),
);

Deno.test("Training an adapter refuses to go on from a checkpoint that does not say what made it", () =>
  withFolder(async (folder) => {
    await interrupt(folder, 7);
    await Deno.writeTextFile(join(folder, "checkpoint-6", "trainer_state.json"), '{"global_step":6}');
    await assertRejects(
      () => train(folder, new RecordingModel(), { maxSteps: 20 }),
      UserError,
      "does not say what it was made from",
    );
  }));

// Starting from an adapter.

Deno.test("Training from an adapter starts with its weights and options, and says which options those are", () =>
  withFolder(async (folder) => {
    const first = await train(join(folder, "first"), new RecordingModel(), { options: { loraRank: 4 } });
    const said: string[] = [];
    const losses: number[] = [];
    const second = await train(join(folder, "second"), new RecordingModel(), {
      options: { peftDir: first },
      maxSteps: 1,
      warn: (text) => said.push(text),
      log: (_, { loss }) => loss !== undefined && losses.push(loss),
    });
    assertEquals(said, [`The options of the adapter ${first} count: --lora-rank is 4, not 8.`]);
    assertEquals(JSON.parse(await adapterOf(second)).options.rank, 4);
    assert(losses[0] < 0.5, `a fresh adapter has the loss ${Math.log(2)}, this one ${losses[0]}`);
  }));

Deno.test("Training from an adapter says nothing where its options are those that were asked for", () =>
  withFolder(async (folder) => {
    const first = await train(join(folder, "first"), new RecordingModel());
    const said: string[] = [];
    const warn = (text: string) => said.push(text);
    await train(join(folder, "second"), new RecordingModel(), { options: { peftDir: first }, warn });
    assertEquals(said, []);
  }));

Deno.test("Training from an adapter goes on from its own checkpoint after an interruption", () =>
  withFolder(async (folder) => {
    const peftDir = await train(join(folder, "first"), new RecordingModel());
    const whole = await train(join(folder, "whole"), new RecordingModel(), {
      options: { peftDir },
      maxSteps: 20,
    });
    await interrupt(join(folder, "cut"), 7, { peftDir });
    const cut = await train(join(folder, "cut"), new RecordingModel(), {
      options: { peftDir },
      maxSteps: 20,
    });
    assertEquals(await adapterOf(cut), await adapterOf(whole));
  }));

// Validation.

Deno.test("Training an adapter looks at the validation rows at each checkpoint, and at 200 of them at most", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel(), looked: number[] = [];
    const log = (step: number, values: Values) => {
      if ("eval_q_loss" in values) looked.push(step);
    };
    await train(folder, model, { validation: rows("validation", 201), maxSteps: 20, log });
    assertEquals(looked, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
    assertEquals(model.evaluated.length, 200 * 10);
  }));

Deno.test("Training an adapter looks at the validation rows every evalSteps, and after the last step", () =>
  withFolder(async (folder) => {
    const looked: number[] = [];
    const log = (step: number, values: Values) => {
      if ("eval_q_loss" in values) looked.push(step);
    };
    await train(folder, new RecordingModel(), { maxSteps: 10, options: { evalSteps: 4, saveSteps: 5 }, log });
    assertEquals(looked, [4, 8, 10]);
    assertEquals(await namesIn(folder), ["checkpoint-10", "checkpoint-5"]);
  }));

Deno.test("The validation loss is the mean over the rows, whatever the size of the batches", () =>
  withFolder(async (folder) => {
    const misjudged = { ...row("validation", 6, 1), label: 0 } as const;
    for (const batchSize of [1, 4, 6, 7]) {
      const losses: number[] = [];
      const log = (_: number, { eval_q_loss: loss }: Values) => {
        if (loss !== undefined) losses.push(loss);
      };
      await train(join(folder, `${batchSize}`), new RecordingModel(), {
        batchSize,
        maxSteps: 1,
        validation: [...rows("validation", 6), misjudged],
        log,
      });
      // Every training row has the slope -0.5 at first, so the weight is 0.5 · 0.5 after one step.
      const expected = (6 * Math.log1p(Math.exp(-0.25)) + Math.log1p(Math.exp(0.25))) / 7;
      assertEquals(losses.length, 1);
      assertAlmostEquals(losses[0], expected, 1e-12);
    }
  }));

Deno.test("Training an adapter trains without validation rows, and logs nothing about them", () =>
  withFolder(async (folder) => {
    const keys = new Set<string>();
    const log = (_: number, values: Values) => Object.keys(values).forEach((key) => keys.add(key));
    const last = await train(folder, new RecordingModel(), { validation: [], log });
    assert(await exists(join(last, "trainer_state.json")));
    assertEquals([...keys].sort(), [
      "examples_per_second",
      "gradient_norm",
      "kl_loss",
      "learning_rate",
      "loss",
      "q_loss",
      "tokens_per_second",
    ]);
  }));

// What it refuses.

Deno.test("Training an adapter stops when the loss is no number, naming step, rows and the last checkpoint", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel({}, (step, losses) => step === 5 ? { ...losses, choice: NaN } : losses);
    const error = await assertRejects(() => train(folder, model, { maxSteps: 20 }), UserError);
    assertEquals(error.what, "The loss of step 5 is NaN");
    assertEquals(
      error.where,
      `training rows ${model.batches[4].map(({ id }) => `train/${id}`).join(", ")}`,
    );
    assertStringIncludes(error.fix, join(folder, "checkpoint-4"));
    assertEquals(error.kind, "data");
    assertEquals(await namesIn(folder), ["checkpoint-2", "checkpoint-4"]);
  }));

Deno.test("Training an adapter does not call a checkpoint good whose weights gave the loss that is no number", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel({}, (step, losses) => step === 5 ? { ...losses, choice: NaN } : losses);
    const error = await assertRejects(
      () => train(folder, model, { maxSteps: 20, validation: [], options: { saveSteps: 1 } }),
      UserError,
    );
    assertStringIncludes(error.fix, join(folder, "checkpoint-3"));
    assertEquals((await namesIn(folder)).length, 4);
  }));

Deno.test("Training an adapter names no checkpoint when the loss diverges before the first", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel({}, (_, losses) => ({ ...losses, divergence: Infinity }));
    const error = await assertRejects(
      () => train(folder, model),
      UserError,
      "The loss of step 1 is Infinity",
    );
    assertStringIncludes(error.fix, "there is no good checkpoint yet");
    assertEquals(await namesIn(folder), []);
  }));

Deno.test("Training an adapter stops when the gradient's norm is no number, and keeps the last good checkpoint", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel(
      {},
      (step, losses) => step === 4 ? { ...losses, gradientNorm: Infinity } : losses,
    );
    const error = await assertRejects(() => train(folder, model, { maxSteps: 20 }), UserError);
    assertEquals(error.what, "The gradient norm of step 4 is Infinity");
    assertStringIncludes(error.where, "training rows train/");
    assertStringIncludes(error.fix, join(folder, "checkpoint-2"));
    assertEquals(await namesIn(folder), ["checkpoint-2"]);
  }));

Deno.test("Training an adapter stops when the validation loss is no number, before it saves", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel({}, (_, losses) => losses, (losses) => ({ ...losses, choice: NaN }));
    const error = await assertRejects(() => train(folder, model, { maxSteps: 20 }), UserError);
    assertEquals([error.what, error.where], ["The validation loss of step 2 is NaN", "validation rows"]);
    assertEquals(await namesIn(folder), []);
  }));

// Lengths.

Deno.test("Rows longer than maxTokenLength are left out, and their number is said", () =>
  withFolder(async (folder) => {
    const long = { ...row("train", 12, 1), context: "word ".repeat(100) };
    const model = new RecordingModel(), said: string[] = [];
    await train(folder, model, {
      train: [...rows("train", 12), long],
      validation: [{ ...long, id: "validation/0" }],
      options: { maxTokenLength: 50 },
      warn: (text) => said.push(text),
    });
    assertEquals(said, [
      "1 of 13 train rows are longer than 50 tokens and left out.",
      "1 of 1 validation rows are longer than 50 tokens and left out.",
    ]);
    assertEquals(idsOf(model).includes(12), false);
    assertEquals(model.evaluated, []);
  }));

Deno.test("Training is refused when maxTokenLength leaves no row, saying how long the shortest is", () =>
  withFolder(async (folder) => {
    const error = await assertRejects(
      () => train(folder, new RecordingModel(), { options: { maxTokenLength: 5 } }),
      UserError,
      "All train rows are longer than 5 tokens",
    );
    assertStringIncludes(error.fix, "the shortest has 17");
  }));

Deno.test("Training is refused when maxTokenLength leaves rows of one class", () =>
  withFolder(async (folder) => {
    const long = { ...row("train", 1, 0), context: "word ".repeat(100) };
    await assertRejects(
      () =>
        train(folder, new RecordingModel(), {
          train: [row("train", 1, 1), long],
          options: { maxTokenLength: 50 },
        }),
      UserError,
      "All training rows are labelled 1",
    );
  }));
