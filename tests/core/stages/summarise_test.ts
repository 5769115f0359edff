import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import type { Label, Prediction } from "../../../core/records.ts";
import { createRng } from "../../../core/rng.ts";
import { type Means, meansOver, summarise } from "../../../core/stages/summarise.ts";
import type { Metric } from "../../../core/types.ts";
import { prediction } from "../_samples.ts";

/** An answer of which the method could say nothing. */
const withoutConfidence = (id: string, label: Label): Prediction => ({
  ...prediction(id, label, 0.5),
  pCorrect: null,
  logits: null,
});

const accuracy: Metric = {
  kind: "metric",
  name: "accuracy",
  version: 1,
  description: "Share of correct answers",
  better: "higher",
  defaults: {},
  compute: ({ n, nCorrect }) => nCorrect / n,
};

Deno.test("summarise() leaves undecided answers out of every metric, and counts them", () => {
  const predictions = [
    prediction("a", 1, 0.9),
    prediction("b", 0, 0.3),
    prediction("c", null, 0.99),
    prediction("d", 0, 0.2),
    prediction("e", 0, 0.1),
  ];
  const { n, undecided, metrics } = summarise(predictions, [accuracy], createRng(1));
  assertEquals([n, undecided, (metrics.accuracy as { value: number }).value], [4, 1, 0.25]);
});

Deno.test("summarise() counts the correct ones of all decided answers, also of those without a confidence", () => {
  const { n, unscored, correct, metrics } = summarise(
    [
      prediction("a", 1, 0.9),
      withoutConfidence("b", 1),
      withoutConfidence("c", 0),
      withoutConfidence("d", null),
      prediction("e", 0, 0.2),
    ],
    [accuracy],
    createRng(1),
  );
  assertEquals([n, unscored, correct, (metrics.accuracy as { value: number }).value], [2, 2, 2, 0.5]);
});

Deno.test("summarise() of answers none of which has a confidence counts them, and defines no metric", () => {
  const rows = [withoutConfidence("a", 1), withoutConfidence("b", 0), prediction("c", null, 0.5)];
  assertEquals(summarise(rows, [accuracy], createRng(1)), {
    n: 0,
    undecided: 1,
    unscored: 2,
    correct: 1,
    groups: 0,
    metrics: { accuracy: { undefined: "None of 2 answers has a confidence" } },
  });
});

Deno.test("summarise() draws groups where the answers have several, and says how many", () => {
  const rows = Array.from(
    { length: 12 },
    (_, index) => prediction(`${index}`, index % 2 as 0 | 1, 0.5, { group: `g${index % 3}` }),
  );
  assertEquals(summarise(rows, [accuracy], createRng(1)).groups, 3);
  assertEquals(summarise(rows.map((row) => ({ ...row, group: "one" })), [accuracy], createRng(1)).groups, 0);
  assertEquals(summarise([prediction("a", 1, 0.5)], [accuracy], createRng(1)).groups, 0);
});

/** `count` answers, of which the first ones are correct. */
const task = (count: number, correct: number) =>
  Array.from({ length: count }, (_, index) => prediction(`${index}`, index < correct ? 1 : 0, 0.5));

const meanOf = (means: Means, name = "accuracy") => {
  const mean = means[name];
  assert(mean !== null && mean.low !== null && mean.high !== null);
  return { ...mean, width: mean.high - mean.low };
};

Deno.test("meansOver() counts each dataset the same, and each answer the same", () => {
  const { unweighted, weighted } = meansOver([task(10, 5), task(30, 30)], [accuracy], createRng(1));
  assertAlmostEquals(meanOf(unweighted).value, 0.75, 1e-12);
  assertAlmostEquals(meanOf(weighted).value, 35 / 40, 1e-12);
});

Deno.test("meansOver() gives intervals as of independent datasets", () => {
  const { unweighted } = meansOver([task(400, 200), task(100, 50)], [accuracy], createRng(1), 4000);
  const { low, high, width } = meanOf(unweighted);
  assert(low! < 0.5 && high! > 0.5);
  // Variance of a mean of two shares: a quarter of 0.25 / 400 + 0.25 / 100.
  assertAlmostEquals(width, 2 * 1.96 * Math.sqrt((0.25 / 400 + 0.25 / 100) / 4), 0.006);
});

Deno.test("meansOver() leaves out datasets where a metric is undefined, and is null where it is everywhere", () => {
  const onlyMixed: Metric = {
    ...accuracy,
    name: "mixed",
    compute({ n, nCorrect }) {
      if (nCorrect === n) throw new RangeError("all are correct");
      return nCorrect / n;
    },
  };
  const { unweighted } = meansOver([task(50, 20), task(50, 50)], [onlyMixed, accuracy], createRng(1), 100);
  assertAlmostEquals(meanOf(unweighted, "mixed").value, 0.4, 1e-12);
  assertAlmostEquals(meanOf(unweighted).value, 0.7, 1e-12);
  assertEquals(meansOver([task(5, 5), task(3, 3)], [onlyMixed], createRng(1), 10).weighted, { mixed: null });
});

Deno.test("meansOver() leaves out undecided answers and those without a confidence", () => {
  const { unweighted } = meansOver(
    [[...task(4, 2), withoutConfidence("x", 1), prediction("y", null, 0.5)], [withoutConfidence("z", 1)]],
    [accuracy],
    createRng(1),
  );
  assertEquals(unweighted.accuracy!.value, 0.5);
});

Deno.test("summarise() shows a metric only labels and confidences", () => {
  const seen: unknown[] = [];
  const spy: Metric = {
    ...accuracy,
    compute(tally) {
      if (seen.length === 0) seen.push(structuredClone(tally));
      return 0;
    },
  };
  summarise([prediction("a", 1, 0.75)], [spy], createRng(1));
  const one = Float64Array.of(1);
  assertEquals(seen, [
    { pCorrect: Float64Array.of(0.75), correct: one, wrong: Float64Array.of(0), n: 1, nCorrect: 1 },
  ]);
});

Deno.test("summarise() passes on why a metric is undefined", () => {
  const undefinedMetric: Metric = {
    ...accuracy,
    compute() {
      throw new RangeError("all 1 answers are correct");
    },
  };
  const { metrics } = summarise([prediction("a", 1, 0.75)], [undefinedMetric], createRng(1));
  assertEquals(metrics, { accuracy: { undefined: "all 1 answers are correct" } });
});

for (
  const [what, predictions] of [["no answer", []], ["undecided answers only", [
    prediction("a", null, 0.5),
  ]]] as const
) {
  Deno.test(`summarise() refuses ${what} instead of giving 0`, () => {
    const error = assertThrows(() => summarise(predictions, [accuracy], createRng(1)), UserError);
    assertEquals([error.kind, error.what], ["data", `None of ${predictions.length} answers has a label`]);
  });
}
