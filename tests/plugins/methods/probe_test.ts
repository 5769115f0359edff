import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { probe, type ProbeOptions, resolveOptions, UserError } from "@credence/credence";
import { FakeModel, testMethod } from "@credence/credence/testing";
import { withFolder } from "../_folders.ts";
import { CountingModel, scoresOf, trainWith } from "./_class_rows.ts";
import { namesIn, row, rows, type Values } from "./_training.ts";

testMethod(probe, { options: { lr: 0.5 } });

Deno.test("probe reads the hidden states of all rows at once, and undecided rows not at all", () =>
  withFolder(async (folder) => {
    const model = new CountingModel();
    const train = [row("train", 0, 0), row("train", 1, null), row("train", 2, 1)];
    await trainWith(probe, folder, model, { train, validation: rows("validation", 1) });
    assertEquals(model.layers, [[-1]]);
    assertEquals(model.read.map(([text]) => text), [
      "Question: number 0?\nAnswer: bad 0",
      "Question: number 2?\nAnswer: good 2",
      "Question: number 0?\nAnswer: bad 0",
    ]);
  }));

for (
  const [position, text, span] of [
    ["answer", "Question: number 1?\nAnswer: good 1", " 1"],
    ["answer-mean", "Question: number 1?\nAnswer: good 1", " good 1"],
    ["question", "Question: number 1?\nAnswer:", "\nAnswer:"],
    [
      "query",
      "Question: number 1?\nAnswer: good 1\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:",
      "\nAnswer:",
    ],
  ] as const
) {
  Deno.test(`probe with --position=${position} reads ${JSON.stringify(span)}, in training and later`, () =>
    withFolder(async (folder) => {
      const model = new CountingModel();
      const checkpoint = await trainWith(probe, folder, model, { options: { position } });
      assertEquals(model.read[1], [text, span]);
      model.read.length = 0;
      // The defaults are for training; what was trained counts.
      await scoresOf(probe, model, checkpoint);
      assertEquals(model.read[1], [text, span]);
    }));
}

Deno.test("probe reads the prompt's last token for an empty answer, whatever the position", () =>
  withFolder(async (folder) => {
    const model = new CountingModel();
    const train = rows("train", 2).map((one) => ({ ...one, output: "" }));
    for (const position of ["answer", "answer-mean"] as const) {
      await trainWith(probe, folder, model, { train, options: { position } });
      assertEquals(model.read.splice(0)[0], ["Question: number 0?\nAnswer:", "\nAnswer:"]);
    }
  }));

Deno.test("probe puts several layers one behind the other, and its checkpoint says which", () =>
  withFolder(async (folder) => {
    const model = new CountingModel();
    const checkpoint = await trainWith(probe, folder, model, { options: { layers: ["0", "2"] } });
    const config = JSON.parse(await Deno.readTextFile(join(checkpoint, "classifier_config.json")));
    assertEquals(config, { base_model_name_or_path: "fake", layers: [0, 2], position: "answer" });
    await scoresOf(probe, model, checkpoint);
    assertEquals(model.layers, [[0, 2], [0, 2]]);
    assertEquals(await namesIn(checkpoint), [
      "classifier_config.json",
      "fake_classifier.json",
      "trainer_state.json",
    ]);
  }));

Deno.test("probe refuses a classifier that was trained on other weights, and asks no model for hidden states", () =>
  withFolder(async (folder) => {
    const named = (fingerprint: string) => Object.assign(new CountingModel(), { fingerprint });
    const checkpoint = await trainWith(probe, folder, named("1f"));
    assertEquals((await scoresOf(probe, named("1f"), checkpoint)).length, 6);
    const other = named("2e");
    const error = await assertRejects(
      () => scoresOf(probe, other, checkpoint),
      UserError,
      "on other weights",
    );
    assertEquals([error.where, other.read], [checkpoint, []]);
  }));

Deno.test("probe with --layer-choice=best keeps the layer with the lowest validation loss, and reads the others once", () =>
  withFolder(async (folder) => {
    const model = new CountingModel(), losses = new Map<number, number>();
    const log = (_: number, values: Values) => {
      for (const layer of [0, 1, 2]) {
        const loss = values[`eval_loss_layer_${layer}`];
        if (loss !== undefined) losses.set(layer, loss);
      }
    };
    const options = { layers: ["0", "1", "2"], layerChoice: "best", lr: 0.1 } as const;
    const said: string[] = [], warn = (text: string) => said.push(text);
    const checkpoint = await trainWith(probe, folder, model, { options, log, warn });
    const loss = losses.get(2)!.toFixed(3);
    assertEquals(said, [`Of the layers 0, 1, 2, 2 has the lowest validation loss: ${loss}.`]);
    // The fake's higher layers have larger values, from which so few steps learn more.
    assert(losses.get(2)! < losses.get(1)! && losses.get(1)! < losses.get(0)!);
    const config = JSON.parse(await Deno.readTextFile(join(checkpoint, "classifier_config.json")));
    assertEquals(config.layers, [2]);
    assertEquals(model.layers, [[0, 1, 2]]);
  }));

Deno.test("probe logs loss, rate and norm of each step, and loss and accuracy on the validation rows ten times", () =>
  withFolder(async (folder) => {
    const steps: number[] = [], looks: [number, Values][] = [];
    const log = (step: number, values: Values) => {
      if ("loss" in values) {
        steps.push(step);
        assertEquals(Object.keys(values).sort(), ["gradient_norm", "learning_rate", "loss"]);
      } else looks.push([step, values]);
    };
    await trainWith(probe, folder, new CountingModel(), { maxSteps: 20, log });
    assertEquals(steps, Array.from({ length: 20 }, (_, index) => index + 1));
    assertEquals(looks.map(([step]) => step), [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
    assertEquals(looks.at(-1)![1].eval_acc, 1);
  }));

Deno.test("probe trains without validation rows", () =>
  withFolder(async (folder) => {
    const checkpoint = await trainWith(probe, folder, new CountingModel(), { validation: [] });
    assertEquals((await scoresOf(probe, new CountingModel(), checkpoint)).length, 6);
  }));

Deno.test("probe leaves nothing behind when it is stopped, and what it writes is whole", () =>
  withFolder(async (folder) => {
    const stop = new AbortController();
    const log = () => stop.abort(new Error("stopped"));
    const { signal } = stop;
    await assertRejects(
      () => trainWith(probe, folder, new CountingModel(), { maxSteps: 200, log, signal }),
      Error,
      "stopped",
    );
    assertEquals(await namesIn(folder), []);
    await Deno.mkdir(join(folder, "checkpoint-10.tmp"));
    await trainWith(probe, folder, new CountingModel());
    assertEquals(await namesIn(folder), ["checkpoint-10"]);
  }));

Deno.test("probe with --peft-dir reads the model with that adapter, and puts it beside the classifier", () =>
  withFolder(async (folder) => {
    const adapters: unknown[] = [];
    const model = new class extends CountingModel {
      override hiddenStates(...given: Parameters<CountingModel["hiddenStates"]>) {
        adapters.push(given[1].adapter);
        return super.hiddenStates(...given);
      }
    }();
    const peftDir = join(folder, "adapter"),
      lora = { rank: 1, alpha: 1, dropout: 0, targetModules: ["q_proj"] };
    await model.saveAdapter(await model.createAdapter(lora), peftDir);
    const checkpoint = await trainWith(probe, folder, model, { options: { peftDir } });
    assertEquals(adapters.map((adapter) => adapter !== undefined), [true]);
    assertEquals(await namesIn(checkpoint), [
      "classifier_config.json",
      "fake_adapter.json",
      "fake_classifier.json",
      "trainer_state.json",
    ]);
  }));

Deno.test("probe with --max-token-length leaves out longer rows, and says how many", () =>
  withFolder(async (folder) => {
    const model = new CountingModel(), said: string[] = [];
    const train = rows("train", 4).map((one, index) =>
      index < 2 ? one : { ...one, output: `${one.output} and more` }
    );
    await trainWith(probe, folder, model, {
      train,
      validation: [],
      options: { maxTokenLength: 6 },
      warn: (text) => said.push(text),
    });
    assertEquals(model.read.length, 2);
    assertEquals(said, ["2 of 4 train rows are longer than 6 tokens and left out."]);
    await assertRejects(
      () => trainWith(probe, folder, model, { train, options: { maxTokenLength: 1 } }),
      UserError,
      "All train rows are longer than 1 tokens",
    );
  }));

// What it refuses.

for (
  const [options, what] of [
    [{ layers: [] }, 'Option "layers" is []'],
    [{ layers: ["last"] }, 'Option "layers" has "last"'],
    [{ layers: ["1", "1"] }, 'Option "layers" is ["1","1"]'],
    [{ layerChoice: "first" }, 'Option "layerChoice" is "first"'],
    [{ position: "end" }, 'Option "position" is "end"'],
    [{ head: "toString" }, 'Option "head" is "toString"'],
    [{ maxTokenLength: 0.5 }, 'Option "maxTokenLength" is 0.5'],
    [{ lr: 0 }, 'Option "lr" is 0'],
    [{ weightDecay: -1 }, 'Option "weightDecay" is -1'],
    [{ warmupRatio: 2 }, 'Option "warmupRatio" is 2'],
  ] as const
) {
  Deno.test(`probe refuses options ${JSON.stringify(options)} before it reads a token`, () =>
    withFolder(async (folder) => {
      const model = new CountingModel();
      const error = await assertRejects(
        () => trainWith(probe, folder, model, { options: options as unknown as Partial<ProbeOptions> }),
        UserError,
        what,
      );
      assertEquals([error.kind, model.read.length], ["usage", 0]);
      assertThrows(() => resolveOptions(probe, options), UserError, what);
    }));
}

for (const label of [0, 1] as const) {
  Deno.test(`probe refuses training rows that are all labelled ${label}`, () =>
    withFolder(async (folder) => {
      const train = rows("train", 4).map((one) => ({ ...one, label }));
      await assertRejects(
        () => trainWith(probe, folder, new CountingModel(), { train }),
        UserError,
        `All training rows are labelled ${label}`,
      );
    }));
}

Deno.test("probe refuses to choose a layer where no validation row has a label", () =>
  withFolder(async (folder) => {
    const validation = [row("validation", 0, null)];
    const options = { layerChoice: "best", layers: ["0", "1"] } as const;
    await assertRejects(
      () => trainWith(probe, folder, new CountingModel(), { validation, options }),
      UserError,
      "no labelled validation rows to choose a layer by",
    );
  }));

Deno.test("probe stops when the loss is no number, naming step and rows", () =>
  withFolder(async (folder) => {
    const model = new CountingModel({ evidence: () => NaN });
    const error = await assertRejects(() => trainWith(probe, folder, model), UserError);
    assertEquals(error.what, "The loss of step 1 is NaN");
    assert(/^training rows train\/\d+, /.test(error.where));
    assertEquals(await namesIn(folder), []);
  }));

Deno.test("probe says that it has to be trained when it is asked without a checkpoint", async () => {
  const error = await assertRejects(() => scoresOf(probe, new FakeModel()), UserError, "has no classifier");
  assertEquals(error.kind, "usage");
});

Deno.test("probe refuses a checkpoint of a model of another width, naming the model that it was trained on", () =>
  withFolder(async (folder) => {
    const checkpoint = await trainWith(probe, folder, new CountingModel());
    const model = new class extends CountingModel {
      override readonly width = 8 as unknown as 4;
    }();
    const error = await assertRejects(() => scoresOf(probe, model, checkpoint), UserError);
    assertEquals(error.what, "The classifier takes 4 values, but one layer of fake give 8");
    assertEquals(error.fix, "use the model that it was trained on: fake");
  }));

Deno.test("probe refuses a checkpoint whose configuration is damaged, naming the file", () =>
  withFolder(async (folder) => {
    const checkpoint = await trainWith(probe, folder, new CountingModel());
    const path = join(checkpoint, "classifier_config.json");
    for (
      const text of ["null", "{}", '{"layers":[0.5],"position":"answer"}', '{"layers":[0],"position":"end"}']
    ) {
      await Deno.writeTextFile(path, text);
      const error = await assertRejects(() => scoresOf(probe, new CountingModel(), checkpoint), UserError);
      assertEquals([error.kind, error.where], ["data", path]);
    }
  }));

Deno.test("probe reads a checkpoint without a configuration as the research code's: last layer, answer", () =>
  withFolder(async (folder) => {
    const model = new CountingModel();
    const checkpoint = await trainWith(probe, folder, model, {
      options: { position: "question", layers: ["0"] },
    });
    await Deno.remove(join(checkpoint, "classifier_config.json"));
    model.read.length = model.layers.length = 0;
    await scoresOf(probe, model, checkpoint);
    assertEquals(model.layers, [[-1]]);
    assertEquals(model.read[0][1], " 0");
  }));
