import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  brier,
  brierReliability,
  brierResolution,
  brierUncertainty,
  tally,
  UserError,
} from "@credence/credence";
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
  assertAlmostEquals(brier.compute(tally(pairs), {}), sum / 200, 1e-12);
});

testMetric(brierReliability, {
  cases: [
    { pairs: [[1, 1], [0, 0]], expected: 0 },
    // Half of the answers say 0.75 and are right in half of the cases; the others are as they say.
    { pairs: [[1, 0.75], [0, 0.75], [1, 1], [1, 1]], expected: 0.25 ** 2 / 2 },
  ],
});

testMetric(brierResolution, {
  cases: [
    { pairs: [[1, 1], [0, 0]], expected: 0.25 },
    { pairs: [[1, 0.5], [0, 0.5]], expected: 0 },
  ],
});

testMetric(brierUncertainty, {
  cases: [
    { pairs: [[1, 1], [0, 0]], expected: 0.25 },
    { pairs: [[1, 0.5], [1, 0.2]], expected: 0 },
  ],
});

const part = (pairs: Parameters<typeof tally>[0]) => {
  const answers = tally(pairs);
  return brierReliability.compute(answers, { bins: 10 }) - brierResolution.compute(answers, { bins: 10 }) +
    brierUncertainty.compute(answers, {});
};

Deno.test("brier is reliability - resolution + uncertainty where a bin holds one confidence", () => {
  // Steps of 0.1, moved off the edges.
  const pairs = randomPairs(5, 300).map(({ label, pCorrect }) => ({
    label,
    pCorrect: Math.min(9, Math.floor(pCorrect * 10)) / 10 + 0.05,
  }));
  assertAlmostEquals(part(pairs), brier.compute(tally(pairs), {}), 1e-12);
});

Deno.test("brier differs from its parts by what varies within the bins", () => {
  // Both in [0.5, 0.6): by their mean 0.55 they earn 0.25 + 0.05², by themselves (0.4² + 0.5²) / 2 and so on.
  const pairs = [{ label: 1, pCorrect: 0.59 }, { label: 0, pCorrect: 0.51 }] as const;
  const variance = 0.04 ** 2, covariance = 0.5 * 0.04;
  assertAlmostEquals(part(pairs) + variance - 2 * covariance, brier.compute(tally(pairs), {}), 1e-12);
});

for (const metric of [brierReliability, brierResolution]) {
  Deno.test(`${metric.name} refuses half a bin`, () => {
    assertThrows(() => metric.compute(tally(randomPairs(1, 3)), { bins: 0.5 }), UserError, '"bins" is 0.5');
  });
}

Deno.test("brier and its reliability are better when lower, resolution when higher", () => {
  assertEquals([brier, brierReliability, brierResolution].map(({ better }) => better), [
    "lower",
    "lower",
    "higher",
  ]);
});
