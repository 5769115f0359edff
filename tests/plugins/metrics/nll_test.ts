import { assertAlmostEquals, assertEquals } from "@std/assert";
import { nll, tally } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";
import { randomPairs } from "./_pairs.ts";

testMetric(nll, {
  cases: [
    { pairs: [[1, 0.5], [0, 0.5]], expected: Math.LN2 },
    // -(ln 0.8 + ln 0.25) / 2 = ln 5 / 2
    { pairs: [[1, 0.8], [0, 0.75]], expected: Math.log(5) / 2 },
    // Certain and wrong: the confidence counts as 1 - 2^-52.
    { pairs: [[1, 0]], expected: 52 * Math.LN2 },
  ],
});

Deno.test("nll of a certain and right answer is nothing, up to the floor of 2^-52", () => {
  assertAlmostEquals(
    nll.compute(tally([{ label: 1, pCorrect: 1 }, { label: 0, pCorrect: 0 }]), {}),
    0,
    1e-15,
  );
});

Deno.test("nll is minus the logarithm of the product of the labels' probabilities, over their number", () => {
  const pairs = randomPairs(11, 40).filter(({ pCorrect }) => pCorrect > 0 && pCorrect < 1);
  const product = pairs.reduce(
    (all, { label, pCorrect }) => all * (label === 1 ? pCorrect : 1 - pCorrect),
    1,
  );
  assertAlmostEquals(nll.compute(tally(pairs), {}), -Math.log(product) / pairs.length, 1e-12);
});

Deno.test("nll is better when lower", () => assertEquals(nll.better, "lower"));
