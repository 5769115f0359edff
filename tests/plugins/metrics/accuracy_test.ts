import { assertEquals } from "@std/assert";
import { accuracy, tally, uncAccuracy } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";

testMetric(accuracy, {
  cases: [
    { pairs: [[1, 0.1]], expected: 1 },
    { pairs: [[0, 0.9]], expected: 0 },
    { pairs: [[1, 0.5], [0, 0.5], [0, 0.5], [1, 0.5], [0, 0.5]], expected: 0.4 },
  ],
});

Deno.test("accuracy is about the answers: confidence does not move it", () => {
  const of = (pCorrect: number) =>
    accuracy.compute(tally([{ label: 1, pCorrect }, { label: 0, pCorrect: 1 - pCorrect }]), {});
  assertEquals([of(0), of(0.5), of(1)], [0.5, 0.5, 0.5]);
});

Deno.test("accuracy is better when higher", () => assertEquals(accuracy.better, "higher"));

testMetric(uncAccuracy, {
  cases: [
    { pairs: [[1, 0.9], [0, 0.1]], expected: 1 },
    { pairs: [[0, 0.9], [1, 0.1]], expected: 0 },
    // Exactly one half says "wrong", as the research code's argmax does.
    { pairs: [[0, 0.5], [0, 0.5], [1, 0.5], [1, 0.500001]], expected: 0.75 },
  ],
});
