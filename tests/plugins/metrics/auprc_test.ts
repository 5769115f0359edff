import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { auprcCorrect, auprcWrong, tally } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";
import { randomPairs } from "./_pairs.ts";

testMetric(auprcCorrect, {
  cases: [
    { pairs: [[1, 0.9], [0, 0.1]], expected: 1 },
    { pairs: [[0, 0.9], [1, 0.1]], expected: 0.5 },
    // Half of the correct ones are found at a precision of 1, the others at 2 of 3.
    { pairs: [[1, 0.9], [0, 0.5], [1, 0.5], [0, 0.1]], expected: 0.5 + 0.5 * 2 / 3 },
    { pairs: [[1, 0.5], [0, 0.5], [0, 0.5], [0, 0.5]], expected: 0.25 },
  ],
  undefined: [[[0, 0.5]]],
});

testMetric(auprcWrong, {
  cases: [
    { pairs: [[1, 0.9], [0, 0.1]], expected: 1 },
    { pairs: [[0, 0.9], [1, 0.1]], expected: 0.5 },
    { pairs: [[0, 0.5], [1, 0.5], [1, 0.5], [1, 0.5]], expected: 0.25 },
  ],
  undefined: [[[1, 0.5]]],
});

Deno.test("auprc-wrong is auprc-correct with labels and confidences turned round", () => {
  const pairs = randomPairs(4, 200);
  const turned = pairs.map(({ label, pCorrect }) => ({ label: 1 - label as 0 | 1, pCorrect: 1 - pCorrect }));
  assertAlmostEquals(auprcWrong.compute(tally(pairs), {}), auprcCorrect.compute(tally(turned), {}), 1e-12);
});

Deno.test("auprc-correct says that no answer is correct", () => {
  assertThrows(
    () => auprcCorrect.compute(tally([{ label: 0, pCorrect: 0.5 }]), {}),
    RangeError,
    "none of 1 answers is correct",
  );
});

Deno.test("auprc-correct and auprc-wrong are better when higher", () =>
  assertEquals([auprcCorrect.better, auprcWrong.better], ["higher", "higher"]));
