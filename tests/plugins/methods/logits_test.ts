import { assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  createRng,
  type Generation,
  type LanguageModel,
  logits,
  type LogitsOptions,
  probabilityOf,
  UserError,
} from "@credence/credence";
import { FakeModel, testMethod } from "@credence/credence/testing";

testMethod(logits);

const ROW: Generation = {
  id: "7",
  split: "test",
  prompt: "",
  context: "Question: Which?",
  targetPrompt: "\nAnswer:",
  target: "this one",
  output: "that one there",
};

function predict(model: LanguageModel, rows: readonly Generation[], confidence: LogitsOptions["confidence"]) {
  const context = { options: { confidence }, rng: createRng(1), batchSize: 2, progress: { update() {} } };
  return Array.fromAsync(logits.predict(model, rows, context));
}

/** The log-odds of the answer's three tokens. */
const evidence = (text: string) => text.endsWith("that") ? 1 : text.endsWith("one") ? 2 : -0.5;
const p = [1, 2, -0.5].map((odds) => 1 / (1 + Math.exp(-odds)));

Deno.test("logits: the likelihood is the product of the answer's tokens', and normalised their geometric mean", async () => {
  const model = new FakeModel({ evidence });
  const product = p.reduce((all, one) => all * one, 1);
  const [likelihood] = await predict(model, [ROW], "likelihood");
  assertAlmostEquals(likelihood as number, product, 1e-12);
  const [normalised] = await predict(model, [ROW], "normalised");
  assertAlmostEquals(normalised as number, Math.cbrt(product), 1e-12);
});

Deno.test("logits: the entropy is the mean over the answer's tokens, as e to its negative", async () => {
  const entropy = p.reduce((sum, q) => sum - (q * Math.log(q) + (1 - q) * Math.log(1 - q)) / 3, 0);
  const [score] = await predict(new FakeModel({ evidence }), [ROW], "entropy");
  assertAlmostEquals(score as number, Math.exp(-entropy), 1e-12);
});

Deno.test("logits: the prompt's tokens do not count, however unlikely", async () => {
  const model = new FakeModel({ evidence: (text) => text.endsWith("there") ? 0 : 99 });
  const [score] = await predict(model, [ROW], "likelihood");
  assertAlmostEquals(score as number, 0.5, 1e-12);
});

for (const confidence of ["likelihood", "normalised", "entropy"] as const) {
  Deno.test(`logits: an empty answer has no ${confidence}, and one row's absence moves no other's`, async () => {
    const [full] = await predict(new FakeModel({ evidence }), [ROW], confidence);
    const scores = await predict(new FakeModel({ evidence }), [{ ...ROW, output: "" }, ROW], confidence);
    assertEquals(scores, [null, full]);
  });
}

Deno.test("logits: choice is the answer's share among its question's options, and null for none of them", async () => {
  const context = "Question:\nWhich?\n\nChoices:\n  (a): this\n  (b): that";
  const rows = ["a", "b", "c"].map((output) => ({ ...ROW, context, target: "a", output }));
  // The fake model has only something to say of the last token that it is asked for.
  const model = new FakeModel({ evidence: () => 3 });
  const adapter = await model.createAdapter({ rank: 1, alpha: 1, dropout: 0, targetModules: ["q_proj"] });
  Object.assign(adapter, { weight: 1 });
  const asked = Object.assign(Object.create(model), {
    tokenLogits: (sequences: number[][], tokens: number[], options: { batchSize: number }) =>
      model.tokenLogits(sequences, tokens, { ...options, adapter }),
  });
  const scores = await predict(asked, rows, "choice");
  assertEquals(scores, [
    { logits: [0, 3], answer: 0, target: 0 },
    { logits: [0, 3], answer: 1, target: 0 },
    null,
  ]);
  assertAlmostEquals(probabilityOf(scores[1])!, 1 / (1 + Math.exp(-3)), 1e-12);
});

Deno.test("logits refuses an unknown confidence, with those there are", async () => {
  const error = await assertRejects(() => predict(new FakeModel(), [ROW], "max" as "choice"), UserError);
  assertEquals(error.kind, "usage");
  assertStringIncludes(error.fix, "likelihood, normalised, entropy, choice");
});
