import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { type Labeled, type Method, oe, type Prediction } from "@credence/credence";
import { FakeModel } from "@credence/credence/testing";
import { judge } from "../../tasks/_judge.ts";
import { chooseLabeler } from "../../tasks/_labeler.ts";
import { Session } from "../../tasks/_session.ts";
import { exists } from "../../core/mod.ts";
import { withFolder } from "./_cli.ts";

const rows = Array.from({ length: 21 }, (_, index): Labeled => ({
  ...{ id: `${index}`, split: "test", prompt: "", context: `question ${index}?`, targetPrompt: "\nAnswer:" },
  ...{ target: "yes", output: "yes", label: index % 2 as 0 | 1 },
}));

const labeler = await chooseLabeler(new Session("test"), "substring", {});

/** Draws a confidence for each row, reads it, and fails where it is told to. */
function drawing(failsAt = Infinity): { method: Method; asked: string[] } {
  const asked: string[] = [];
  const method: Method = {
    kind: "method",
    name: "test/drawing",
    version: 1,
    description: "A random confidence",
    defaults: {},
    async *predict(model, part, { rng }) {
      for (const row of part) {
        if (asked.length === failsAt) throw new Error("killed");
        asked.push(row.id);
        const sequence = model.tokenizer.encode(row.context);
        for await (const _ of model.tokenLogits([sequence], [0, 1], { batchSize: 1 }));
        yield rng.random();
      }
    },
  };
  return { method, asked };
}

function run(folder: string, method: Method) {
  return judge(
    {
      ...{ model: new FakeModel(), rows, method, options: {}, style: oe, labeler, batchSize: 2, seed: 1 },
      ...{ journal: join(folder, "confidences.journal"), inputs: { seed: 1 }, title: "confidence" },
    },
    (predictions, tokens) => Promise.resolve({ predictions, tokens }),
  );
}

const confidences = (predictions: readonly Prediction[]) => predictions.map(({ pCorrect }) => pCorrect);

Deno.test("an evaluation goes on where it was, with the same confidences and tokens as without an interruption", () =>
  withFolder(async (folder) => {
    const whole = await run(join(folder, "whole"), drawing().method);
    assertEquals(new Set(confidences(whole.predictions)).size, rows.length);
    assertEquals(whole.tokens, { read: 42, written: 0, kept: 42 });

    const place = join(folder, "parts");
    await assertRejects(() => run(place, drawing(11).method), Error, "killed");
    const { method, asked } = drawing();
    assertEquals(await run(place, method), whole);
    // Eight rows are asked about at once: those before the eighth are not asked about again.
    assertEquals(asked, rows.slice(8).map(({ id }) => id));
    assertEquals(await exists(join(place, "confidences.journal")), false);
  }));

Deno.test("a trained method is asked about all rows at once", () =>
  withFolder(async (folder) => {
    let calls = 0;
    const { method } = drawing();
    const trained: Method = {
      ...method,
      train: () => Promise.resolve(""),
      predict(...asked) {
        calls++;
        return method.predict(...asked);
      },
    };
    await run(folder, trained);
    assertEquals(calls, 1);
  }));
