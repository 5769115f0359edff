import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "node:path";
import { createRng, loraPrompt, queryLora, type QueryLoraOptions, UserError } from "@credence/credence";
import { type FakeModel, testMethod } from "@credence/credence/testing";
import { withFolder } from "../_folders.ts";
import { RecordingModel } from "./_recording_model.ts";
import { row, rows, train as trainLoraPrompt, type Values } from "./_training.ts";

testMethod(queryLora, { options: { lr: 0.5 } });

interface Training {
  readonly options?: Partial<QueryLoraOptions>;
  readonly maxSteps?: number;
  readonly train?: ReturnType<typeof rows>;
  readonly log?: (step: number, values: Values) => void;
}

/** Trains in a folder; ten steps of four rows, unless told otherwise. */
function train(folder: string, model: FakeModel, given: Training = {}): Promise<string> {
  return queryLora.train(
    model,
    { train: given.train ?? rows("train", 12), validation: rows("validation", 6) },
    {
      options: { ...queryLora.defaults, lr: 0.5, ...given.options },
      rng: createRng(1),
      batchSize: 4,
      maxSteps: given.maxSteps ?? 10,
      progress: { update() {} },
      log: given.log ?? (() => {}),
      folder,
    },
  );
}

const QUESTION = " the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:";

Deno.test("query-lora trains an adapter that acts on the question about the answer alone, by one choice loss a row", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    const checkpoint = await train(folder, model, { options: { labelSmoothing: 0.2 } });
    const [{ id, prefix, branches: [branch, ...others], losses: [loss, ...more] }] = model.batches[0];
    const { text, label } = { text: (ids: readonly number[]) => model.tokenizer.decode(ids), label: id % 2 };
    const answer = label === 1 ? `good ${id}` : `bad ${id}`;
    // Blanks before a word are part of its token here, so the first word merges with the answer's end.
    assertEquals(text(prefix), `Question: number ${id}?\nAnswer: ${answer}\n\nIs`);
    assertEquals(text(branch), QUESTION);
    assert(loss.kind === "choice");
    assertEquals([loss.branch, loss.label, loss.smoothing, loss.weight], [0, label, 0.2, 1]);
    assertEquals([others, more], [[], []]);
    const adapter = await model.loadAdapter(checkpoint);
    assertEquals(adapter.options.invocationTokens, branch);
  }));

Deno.test("query-lora's options are lora-prompt's, with their defaults, but for those of the divergence and of chats", () => {
  const { klDecay: _, klType: __, refPeftDir: ___, queryChat: ____, ...rest } = loraPrompt.defaults;
  assertEquals({ ...queryLora.defaults }, rest);
  assertEquals(Object.keys(queryLora.help!).sort(), Object.keys(queryLora.defaults).sort());
});

Deno.test("query-lora counts the tokens of the question as read with the adapter", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel(), rates: number[] = [];
    await train(folder, model, {
      maxSteps: 1,
      log: (_, values) => {
        if ("loss" in values) rates.push(values.tokens_per_second / values.examples_per_second);
      },
    });
    assertEquals(rates.map(Math.round), [model.batches[0][0].branches[0].length]);
  }));

Deno.test("query-lora goes on from a checkpoint of its own, and says nothing of the answers' tokens", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    const first = await train(join(folder, "first"), model);
    const second = await train(join(folder, "second"), model, { options: { peftDir: first } });
    const { options } = await model.loadAdapter(second);
    assertEquals(options, (await model.loadAdapter(first)).options);
  }));

Deno.test("query-lora refuses to start from an adapter that acts on all tokens, and lora-prompt from one that does not", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    const whole = await trainLoraPrompt(join(folder, "whole"), model, { maxSteps: 1 });
    const activated = await train(join(folder, "activated"), model, { maxSteps: 1 });
    const one = await assertRejects(
      () => train(join(folder, "1"), model, { options: { peftDir: whole } }),
      UserError,
      "The adapter acts on all tokens, but this method trains one that acts from the tokens",
    );
    const other = await assertRejects(
      () => trainLoraPrompt(join(folder, "2"), model, { options: { peftDir: activated } }),
      UserError,
      "on, but this method trains one that acts on all tokens",
    );
    assertEquals([one.kind, one.where, other.kind, other.where], ["data", whole, "data", activated]);
    assertStringIncludes(one.fix, "--peft-dir");
  }));

Deno.test("query-lora refuses a row whose question ends in other tokens, naming it", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    const { encode } = model.tokenizer;
    // A tokenizer that ends each text that has an odd answer with a token of its own.
    const tokenizer = {
      ...model.tokenizer,
      encode: (text: string) => text.includes("odd") ? [...encode(text), 999] : encode(text),
    };
    const odd = new Proxy(model, {
      get: (target, key) => key === "tokenizer" ? tokenizer : Reflect.get(target, key, target),
    });
    const bad = { ...row("train", 3, 1), output: "odd one" };
    const error = await assertRejects(
      () => train(folder, odd, { train: [row("train", 2, 0), bad] }),
      UserError,
    );
    assertEquals(error.where, 'row train/3, whose answer ends in "odd one"');
  }));

for (
  const options of [{ labelSmoothing: 2 }, { labelSmoothing: -1 }, { loraRank: 0 }, { targetModules: [] }]
) {
  Deno.test(`query-lora refuses ${JSON.stringify(options)} before a model is loaded`, () => {
    const error = assertThrows(() => queryLora.check!({ ...queryLora.defaults, ...options }), UserError);
    assertEquals(error.kind, "usage");
    assertStringIncludes(error.where, "query-lora");
  });
}
