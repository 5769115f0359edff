import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { ece, type Scored, seedEce, tally, UserError } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";

testMetric(seedEce, {
  cases: [
    { pairs: [[1, 0.9], [0, 0.2]], expected: (0.1 + 0.2) / 2 },
    // 0.5 counts as a judgement of "wrong" with confidence 0.5.
    { pairs: [[0, 0.5]], expected: 0.5 },
    { pairs: [[1, 0.5]], expected: 0.5 },
    // 0.2 and 0.8 are in one bin, as both are judged with confidence 0.8: three of four rightly.
    { pairs: [[0, 0.2], [0, 0.2], [1, 0.8], [0, 0.8]], expected: 0.05 },
  ],
  undefined: [[[1, 1]], [[0, 1], [1, 0]]],
});

const answers = (...pairs: readonly (readonly [0 | 1, number])[]) =>
  tally(pairs.map(([label, pCorrect]): Scored => ({ label, pCorrect })));

Deno.test("seed-ece drops confidences of exactly 1, also certain errors, where ece counts them", () => {
  const errors = answers([0, 1], [0, 1], [0, 1], [1, 0.9]);
  assertAlmostEquals(seedEce.compute(errors, { bins: 10 }), 0.1, 1e-12);
  assertAlmostEquals(ece.compute(errors, { bins: 10 }), 2.9 / 4, 1e-12);
});

Deno.test("seed-ece takes P(correct) of exactly 0 for a confidence of 1, and drops it too", () => {
  assertAlmostEquals(seedEce.compute(answers([1, 0], [1, 0.9]), { bins: 10 }), 0.1, 1e-12);
});

Deno.test("seed-ece says so where nothing is left", () => {
  assertThrows(
    () => seedEce.compute(answers([1, 1], [0, 1]), { bins: 10 }),
    RangeError,
    "all 2 answers have a confidence of exactly 1",
  );
});

Deno.test("seed-ece refuses no bins", () => {
  assertThrows(() => seedEce.compute(answers([1, 0.9]), { bins: 0 }), UserError, '"bins" is 0');
});

Deno.test("seed-ece is better when lower", () => assertEquals(seedEce.better, "lower"));
