import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { reliability, riskCoverage } from "../../core/reliability.ts";
import type { Scored } from "../../core/types.ts";

const pair = (label: 0 | 1, pCorrect: number): Scored => ({ label, pCorrect });

const counts = (pairs: readonly Scored[], bins?: number) =>
  reliability(pairs, bins).map(({ count }) => count);

Deno.test("reliability() has ten bins of equal width, also where they are empty", () => {
  const bins = reliability([]);
  assertEquals(bins.map(({ low }) => low), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
  assertEquals(bins.at(-1)!.high, 1);
  assertEquals(bins[0], {
    low: 0,
    high: 0.1,
    count: 0,
    confidence: null,
    accuracy: null,
    accuracyLow: null,
    accuracyHigh: null,
  });
});

Deno.test("reliability() puts a confidence on an edge into the bin above, and exactly 1 into the last", () => {
  assertEquals(counts([pair(1, 0), pair(1, 0.5), pair(1, 1)], 2), [1, 2]);
  assertEquals(counts([pair(1, 0.5 - 1e-9)], 2), [1, 0]);
  assertEquals(counts([pair(0, 1)]).at(-1), 1);
});

Deno.test("reliability() gives the mean confidence and the share of correct answers of a bin", () => {
  const [, bin] = reliability([pair(1, 0.5), pair(0, 0.75), pair(1, 1), pair(1, 0.25)], 2);
  assertEquals([bin.count, bin.confidence, bin.accuracy], [3, 0.75, 2 / 3]);
});

Deno.test("reliability() gives Wilson's interval, as tables have it", () => {
  // 95 % intervals of Wilson's score for 1 of 10 and 5 of 10, from Newcombe, Statistics in Medicine 17 (1998).
  const rows = (correct: number) =>
    Array.from({ length: 10 }, (_, index) => pair(index < correct ? 1 : 0, 0.5));
  for (const [correct, low, high] of [[1, 0.0179, 0.4042], [5, 0.2366, 0.7634]]) {
    const [bin] = reliability(rows(correct), 1);
    assertAlmostEquals(bin.accuracyLow!, low, 5e-5);
    assertAlmostEquals(bin.accuracyHigh!, high, 5e-5);
  }
});

Deno.test("reliability() keeps the interval within [0, 1] where all answers are wrong or all correct", () => {
  const [wrong] = reliability([pair(0, 0.5)], 1), [correct] = reliability([pair(1, 0.5)], 1);
  assertEquals(wrong.accuracyLow, 0);
  assertEquals(correct.accuracyHigh, 1);
  assert(wrong.accuracyHigh! > 0.5 && correct.accuracyLow! < 0.5);
});

Deno.test("riskCoverage() withholds the least confident answers first", () => {
  const curve = riskCoverage([pair(0, 0.2), pair(1, 0.9), pair(1, 0.8), pair(0, 0.4)]);
  assertEquals(curve, [
    { coverage: 0.25, risk: 0 },
    { coverage: 0.5, risk: 0 },
    { coverage: 0.75, risk: 1 / 3 },
    { coverage: 1, risk: 0.5 },
  ]);
});

Deno.test("riskCoverage() withholds answers of equal confidence together, whatever their order", () => {
  const tied = [pair(1, 0.5), pair(0, 0.5), pair(1, 0.9)];
  const expected = [{ coverage: 1 / 3, risk: 0 }, { coverage: 1, risk: 1 / 3 }];
  assertEquals(riskCoverage(tied), expected);
  assertEquals(riskCoverage(tied.toReversed()), expected);
});

Deno.test("riskCoverage() ends at all answers, also when it is thinned out", () => {
  const many = Array.from({ length: 1000 }, (_, index) => pair(index % 2 as 0 | 1, index / 1000));
  const curve = riskCoverage(many, 50);
  assert(curve.length <= 51, `${curve.length} points`);
  assertEquals(curve.at(-1), { coverage: 1, risk: 0.5 });
});

Deno.test("riskCoverage() of no answers is empty", () => {
  assertEquals(riskCoverage([]), []);
});
