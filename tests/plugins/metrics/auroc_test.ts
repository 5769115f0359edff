import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { auroc, type Scored, tally } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";
import { randomPairs } from "./_pairs.ts";

testMetric(auroc, {
  cases: [
    { pairs: [[1, 0.9], [0, 0.1]], expected: 1 },
    { pairs: [[1, 0.1], [0, 0.9]], expected: 0 },
    { pairs: [[1, 0.5], [0, 0.5]], expected: 0.5 },
    // Of the four comparisons: 0.8 > 0.5, 0.8 > 0.2, 0.5 = 0.5, 0.5 > 0.2.
    { pairs: [[1, 0.8], [1, 0.5], [0, 0.5], [0, 0.2]], expected: 3.5 / 4 },
    { pairs: [[1, 1], [0, 1], [0, 0]], expected: 0.75 },
  ],
  undefined: [[[1, 0.3]], [[0, 0.3]], [[1, 0.2], [1, 0.8]], [[0, 0.2], [0, 0.8]]],
});

/** Every correct answer against every wrong one. */
function byComparison(pairs: readonly Scored[]): number {
  let won = 0, compared = 0;
  for (const right of pairs.filter(({ label }) => label === 1)) {
    for (const wrong of pairs.filter(({ label }) => label === 0)) {
      won += right.pCorrect > wrong.pCorrect ? 1 : right.pCorrect === wrong.pCorrect ? 0.5 : 0;
      compared++;
    }
  }
  return won / compared;
}

for (const count of [2, 3, 50, 501]) {
  Deno.test(`auroc of ${count} answers with ties is the share of comparisons won, ties half`, () => {
    const pairs = randomPairs(count, count);
    assertAlmostEquals(auroc.compute(tally(pairs), {}), byComparison(pairs), 1e-12);
  });
}

Deno.test("auroc depends on the order of the confidences only", () => {
  const pairs = randomPairs(3, 100);
  const squashed = pairs.map(({ label, pCorrect }) => ({ label, pCorrect: pCorrect ** 3 / 2 }));
  assertAlmostEquals(auroc.compute(tally(squashed), {}), auroc.compute(tally(pairs), {}), 1e-12);
});

Deno.test("auroc says which class is missing", () => {
  assertThrows(
    () => auroc.compute(tally([{ label: 1, pCorrect: 0.5 }, { label: 1, pCorrect: 0.6 }]), {}),
    RangeError,
    "all 2 answers are correct",
  );
  assertThrows(
    () => auroc.compute(tally([{ label: 0, pCorrect: 0.5 }]), {}),
    RangeError,
    "all 1 answers are wrong",
  );
});

Deno.test("auroc is better when higher", () => assertEquals(auroc.better, "higher"));
