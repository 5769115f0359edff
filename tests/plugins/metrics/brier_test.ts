import { assertAlmostEquals, assertEquals } from "@std/assert";
import { brier } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";
import { randomPairs } from "./_pairs.ts";

testMetric(brier, {
  cases: [
    { pairs: [[1, 1], [0, 0]], expected: 0 },
    { pairs: [[1, 0], [0, 1]], expected: 1 },
    { pairs: [[1, 0.5], [0, 0.5]], expected: 0.25 },
    // (0.3² + 0.2² + 0.9²) / 3
    { pairs: [[1, 0.7], [0, 0.2], [1, 0.1]], expected: 0.94 / 3 },
  ],
});

Deno.test("brier is the mean of p² over wrong answers and (1 - p)² over correct ones", () => {
  const pairs = randomPairs(7, 200);
  let sum = 0;
  for (const { label, pCorrect: p } of pairs) sum += label === 1 ? 1 - 2 * p + p * p : p * p;
  assertAlmostEquals(brier.compute(pairs, {}), sum / 200, 1e-12);
});

Deno.test("brier is better when lower", () => assertEquals(brier.better, "lower"));
