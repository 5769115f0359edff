import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { ece, type Scored, UserError } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";
import { randomPairs } from "./_pairs.ts";

testMetric(ece, {
  cases: [
    { pairs: [[1, 1], [0, 0]], expected: 0 },
    { pairs: [[0, 1]], expected: 1 },
    { pairs: [[1, 0]], expected: 1 },
    { pairs: [[1, 0.75], [1, 0.75], [1, 0.75], [0, 0.75]], expected: 0 },
    // Bins [0.1, 0.2) and [0.9, 1]: gaps |0 - 0.15| and |0.5 - 0.95|, two rows each.
    { pairs: [[0, 0.1], [0, 0.19999], [1, 0.9], [0, 1]], expected: (0.29999 + 0.9) / 4 },
    // One bin: over- and underconfidence cancel within it.
    { pairs: [[1, 0.42], [0, 0.48]], expected: Math.abs(0.9 - 1) / 2 },
    // The same gaps on both sides of a bin's edge do not cancel.
    { pairs: [[1, 0.49], [0, 0.5]], expected: (0.51 + 0.5) / 2 },
  ],
});

const pair = (label: 0 | 1, pCorrect: number): Scored => ({ label, pCorrect });

Deno.test("ece counts a confidence of exactly 1 in the last bin", () => {
  // Together in [0.9, 1]: |1 - 1.9| / 2. Apart, it would be (0.1 + 1) / 2.
  assertAlmostEquals(ece.compute([pair(1, 0.9), pair(0, 1)], { bins: 10 }), 0.45, 1e-12);
});

Deno.test("ece puts a confidence on an edge into the bin above it", () => {
  // 0.1 lies in [0.1, 0.2) with 0.15, not in [0, 0.1) with 0.05.
  assertAlmostEquals(ece.compute([pair(1, 0.1), pair(0, 0.15)], { bins: 10 }), 0.75 / 2, 1e-12);
  assertAlmostEquals(ece.compute([pair(1, 0.1), pair(0, 0.05)], { bins: 10 }), 0.95 / 2, 1e-12);
});

for (const bins of [1, 2, 10, 20]) {
  Deno.test(`ece over ${bins} bins is the mean gap of the bins, weighed by their rows`, () => {
    const pairs = randomPairs(bins, 300);
    let expected = 0;
    for (let bin = 0; bin < bins; bin++) {
      // In twentieths, as the confidences are, so that no edge depends on rounding.
      const inside = pairs.filter(({ pCorrect }) => {
        const step = Math.round(pCorrect * 20), width = 20 / bins;
        return step >= bin * width && (step < (bin + 1) * width || (bin === bins - 1 && step === 20));
      });
      if (inside.length === 0) continue;
      const mean = (value: (pair: Scored) => number) =>
        inside.reduce((sum, pair) => sum + value(pair), 0) / inside.length;
      expected += inside.length / pairs.length * Math.abs(mean((p) => p.label) - mean((p) => p.pCorrect));
    }
    assertAlmostEquals(ece.compute(pairs, { bins }), expected, 1e-12);
  });
}

for (const bins of [0, -1, 2.5, NaN]) {
  Deno.test(`ece refuses ${bins} bins`, () => {
    const error = assertThrows(() => ece.compute([pair(1, 0.5)], { bins }), UserError, `"bins" is ${bins}`);
    assertEquals(error.kind, "usage");
  });
}

Deno.test("ece is better when lower", () => assertEquals(ece.better, "lower"));
