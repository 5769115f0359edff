import { assertAlmostEquals, assertEquals } from "@std/assert";
import { nll } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";
import { randomPairs } from "./_pairs.ts";

testMetric(nll, {
  cases: [
    { pairs: [[1, 0.5], [0, 0.5]], expected: Math.LN2 },
    // -(ln 0.8 + ln 0.25) / 2 = ln 5 / 2
    { pairs: [[1, 0.8], [0, 0.75]], expected: Math.log(5) / 2 },
    // Certain and wrong: the confidence counts as 1 - 1e-12.
    { pairs: [[1, 0]], expected: 12 * Math.LN10 },
  ],
});

Deno.test("nll of a certain and right answer is nothing, up to the floor of 1e-12", () => {
  assertAlmostEquals(nll.compute([{ label: 1, pCorrect: 1 }, { label: 0, pCorrect: 0 }], {}), 0, 2e-12);
});

Deno.test("nll is minus the logarithm of the product of the labels' probabilities, over their number", () => {
  const pairs = randomPairs(11, 40).filter(({ pCorrect }) => pCorrect > 0 && pCorrect < 1);
  const product = pairs.reduce(
    (all, { label, pCorrect }) => all * (label === 1 ? pCorrect : 1 - pCorrect),
    1,
  );
  assertAlmostEquals(nll.compute(pairs, {}), -Math.log(product) / pairs.length, 1e-12);
});

Deno.test("nll is better when lower", () => assertEquals(nll.better, "lower"));
