import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { aurc, eAurc, prr, type Scored, tally } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";
import { createRng } from "@credence/credence";

testMetric(aurc, {
  cases: [
    { pairs: [[1, 0.9], [0, 0.1]], expected: (0 + 1 / 2) / 2 },
    { pairs: [[0, 0.9], [1, 0.1]], expected: (1 + 1 / 2) / 2 },
    { pairs: [[1, 0.5], [0, 0.5]], expected: 0.5 },
    { pairs: [[1, 0.2]], expected: 0 },
    { pairs: [[0, 0.2]], expected: 1 },
  ],
});

testMetric(eAurc, {
  cases: [
    { pairs: [[1, 0.9], [1, 0.8], [0, 0.1]], expected: 0 },
    { pairs: [[0, 0.9], [1, 0.1]], expected: 0.5 },
    { pairs: [[0, 0.9]], expected: 0 },
  ],
});

testMetric(prr, {
  cases: [
    { pairs: [[1, 0.9], [1, 0.8], [0, 0.1]], expected: 1 },
    { pairs: [[1, 0.5], [0, 0.5], [0, 0.5]], expected: 0 },
    { pairs: [[0, 0.9], [1, 0.1]], expected: -1 },
  ],
  undefined: [[[1, 0.5]], [[0, 0.5], [0, 0.7]]],
});

Deno.test("aurc of tied answers is the mean over their orders", () => {
  // All of one confidence: in any order, the first k of them are as wrong as all.
  const rows = Array.from({ length: 9 }, (_, index): Scored => ({ label: index < 3 ? 0 : 1, pCorrect: 0.4 }));
  assertAlmostEquals(aurc.compute(tally(rows), {}), 1 / 3, 1e-12);
});

Deno.test("prr of confidences that know nothing is about 0", () => {
  const rng = createRng(8);
  const rows = Array.from(
    { length: 5000 },
    (): Scored => ({ label: rng.random() < 0.6 ? 1 : 0, pCorrect: rng.random() }),
  );
  assertAlmostEquals(prr.compute(tally(rows), {}), 0, 0.05);
});

Deno.test("prr says which answers are missing", () => {
  assertThrows(
    () => prr.compute(tally([{ label: 1, pCorrect: 0.5 }]), {}),
    RangeError,
    "all 1 answers are correct",
  );
});

Deno.test("aurc and e-aurc are better when lower, prr when higher", () =>
  assertEquals([aurc.better, eAurc.better, prr.better], ["lower", "lower", "higher"]));
