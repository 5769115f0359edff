import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import type { Labeled } from "../../../core/records.ts";
import { createRng } from "../../../core/rng.ts";
import { predictConfidence } from "../../../core/stages/evaluate.ts";
import { probabilityCorrect } from "../../../core/temperature.ts";
import { FakeModel } from "../../../core/testing/fake_model.ts";
import type { Method, Score } from "../../../core/types.ts";
import { all } from "../../plugins/_folders.ts";
import { frozen, labeled } from "../_samples.ts";

const ROWS = frozen([labeled("a", 1), labeled("b", 0), labeled("c", null)]);

/** A method that gives these logits, whatever it is asked. */
function method(logits: Iterable<Score>): Method {
  return {
    kind: "method",
    name: "acme/given",
    version: 1,
    description: "Gives the logits it was made with",
    defaults: {},
    train: () => Promise.reject(new Error("not asked to train")),
    async *predict() {
      for (const pair of logits) yield await Promise.resolve(pair);
    },
  };
}

const CONTEXT = { options: {}, rng: createRng(1), batchSize: 2, progress: { update() {} } };

const predict = (
  logits: Iterable<Score>,
  temperature?: number,
  rows: readonly Labeled[] = ROWS,
) =>
  all(
    predictConfidence(
      new FakeModel(),
      rows,
      method(logits),
      CONTEXT,
      temperature === undefined ? undefined : { kind: "temperature", temperature },
    ),
  );

Deno.test("predictConfidence() adds logits and P(correct) to each row, undecided ones included", async () => {
  const logits = [[0, 1], [2, -1], [0, 0]] as const;
  assertEquals(
    await predict(logits),
    ROWS.map((row, index) => ({
      ...row,
      logits: [...logits[index]],
      pCorrect: probabilityCorrect(logits[index]),
    })),
  );
});

Deno.test("predictConfidence() divides by the temperature for P(correct), and keeps the logits", async () => {
  const [{ logits, pCorrect }] = await predict([[0, 3], [0, 0], [0, 0]], 2);
  assertEquals([logits, pCorrect], [[0, 3], probabilityCorrect([0, 1.5])]);
});

Deno.test("predictConfidence() takes a probability, certain ones too, and a row without any", async () => {
  const rows = await predict([0.25, 1, null]);
  assertEquals(rows.map(({ logits, pCorrect }) => [logits, pCorrect]), [[null, 0.25], [null, 1], [
    null,
    null,
  ]]);
});

Deno.test("predictConfidence() scales a probability as the logits it is the softmax of", async () => {
  const [{ pCorrect }, certain] = await predict([0.9, 1, null], 2);
  assertAlmostEquals(pCorrect!, 0.75, 1e-12);
  assertEquals(certain.pCorrect, 1);
});

for (const score of [-0.1, 1.5, NaN]) {
  Deno.test(`predictConfidence() refuses a probability of ${score}`, async () => {
    const error = await assertRejects(() => predict([score, 0.5, 0.5]), UserError, String(score));
    assertEquals(error.kind, "plugin");
  });
}

Deno.test.each([
  ["0.5", '"0.5"'],
  [undefined, "undefined"],
  [[1], "[1]"],
  [[0, "1"], '[0,"1"]'],
  [{ logits: [0, 1], answer: 2, target: 0 }, '{"logits":[0,1],"answer":2,"target":0}'],
  [{ pCorrect: 0.5 }, '{"pCorrect":0.5}'],
])("predictConfidence() refuses %j, which is no score, naming row and method", async (score, shown) => {
  const given = [score as unknown as Score, 0.5, 0.5];
  const { kind, what, where } = await assertRejects(() => predict(given), UserError);
  assertEquals([kind, what, where], [
    "plugin",
    `The score of a row is ${shown}`,
    "row a, method acme/given",
  ]);
});

Deno.test("predictConfidence() hands model, rows, options and checkpoint on", async () => {
  const model = new FakeModel(), seen: unknown[] = [];
  const spy: Method<{ readonly x: number }> = {
    ...method([]),
    defaults: { x: 0 },
    train: () => Promise.resolve(""),
    async *predict(...args) {
      seen.push(...args);
      yield* await Promise.resolve([[0, 0]] as const);
    },
  };
  const context = { ...CONTEXT, options: { x: 3 }, checkpoint: "runs/checkpoint-5" };
  await all(predictConfidence(model, ROWS.slice(0, 1), spy, context));
  assert(seen[0] === model);
  assertEquals(seen.slice(1), [ROWS.slice(0, 1), context]);
});

for (const bad of [NaN, Infinity, -Infinity]) {
  Deno.test(`predictConfidence() refuses a logit of ${bad}, naming row and method`, async () => {
    for (const logits of [[bad, 0], [0, bad]] as const) {
      const error = await assertRejects(() => predict([[0, 1], logits, [0, 0]]), UserError);
      assertEquals([error.kind, error.where], ["data", "row b, method acme/given"]);
      assertEquals(error.what, `The logits of a row are ${logits[0]} and ${logits[1]}`);
    }
  });
}

Deno.test("predictConfidence() refuses a method that gives too few scores", async () => {
  const error = await assertRejects(() => predict([[0, 1], [0, 0]]), UserError);
  assertEquals([error.kind, error.what], ["plugin", 'Method "acme/given" gave 2 scores for 3 rows']);
});

Deno.test("predictConfidence() refuses a method that gives too many scores, even endlessly many", async () => {
  const endless = function* () {
    while (true) yield [0, 0] as const;
  };
  const error = await assertRejects(() => predict(endless()), UserError);
  assertEquals([error.kind, error.what], [
    "plugin",
    'Method "acme/given" gave more than 3 scores for 3 rows',
  ]);
});

Deno.test("predictConfidence() of no rows gives none", async () => {
  assertEquals(await predict([], 1, []), []);
});
