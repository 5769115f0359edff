import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  ace,
  createRng,
  ece,
  eceDebiased,
  eceL2,
  eceMass,
  eceMassL2,
  mce,
  mceMass,
  type Scored,
  tally,
  UserError,
} from "@credence/credence";
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
  assertAlmostEquals(ece.compute(tally([pair(1, 0.9), pair(0, 1)]), { bins: 10 }), 0.45, 1e-12);
});

Deno.test("ece puts a confidence on an edge into the bin above it", () => {
  // 0.1 lies in [0.1, 0.2) with 0.15, not in [0, 0.1) with 0.05.
  assertAlmostEquals(ece.compute(tally([pair(1, 0.1), pair(0, 0.15)]), { bins: 10 }), 0.75 / 2, 1e-12);
  assertAlmostEquals(ece.compute(tally([pair(1, 0.1), pair(0, 0.05)]), { bins: 10 }), 0.95 / 2, 1e-12);
});

for (const bins of [1, 2, 10, 20]) {
  Deno.test(`ece over ${bins} bins is the mean gap of the bins, weighed by their rows`, () => {
    const pairs = randomPairs(bins, 300);
    let expected = 0;
    for (let bin = 0; bin < bins; bin++) {
      const [low, high] = [bin * (1 / bins), bin === bins - 1 ? Infinity : (bin + 1) * (1 / bins)];
      const inside = pairs.filter(({ pCorrect }) => pCorrect >= low && pCorrect < high);
      if (inside.length === 0) continue;
      const mean = (value: (pair: Scored) => number) =>
        inside.reduce((sum, pair) => sum + value(pair), 0) / inside.length;
      expected += inside.length / pairs.length * Math.abs(mean((p) => p.label) - mean((p) => p.pCorrect));
    }
    assertAlmostEquals(ece.compute(tally(pairs), { bins }), expected, 1e-12);
  });
}

/** What every variant says of one confident error. */
const certain = { pairs: [[0, 1]], expected: 1 } as const;

// Bins [0.2, 0.3) and [0.9, 1]: three answers 0.25 below what they say, one 0.5 above.
const two = [[1, 0.95], [0, 0.95], [1, 0.85 + 0.1], [1, 0.25]] as const;
const gaps = [0.95 - 2 / 3, 0.75] as const;

testMetric(eceL2, {
  cases: [certain, { pairs: two, expected: Math.sqrt((3 * gaps[0] ** 2 + gaps[1] ** 2) / 4) }],
});
testMetric(mce, { cases: [certain, { pairs: two, expected: 0.75 }] });
testMetric(ace, { cases: [certain, { pairs: two, expected: (gaps[0] + gaps[1]) / 2 }] });

// Ten bins for four answers: one each, but for the three whose confidences are equal.
testMetric(eceMass, { cases: [certain, { pairs: two, expected: (3 * gaps[0] + gaps[1]) / 4 }] });
testMetric(eceMassL2, {
  cases: [certain, { pairs: two, expected: Math.sqrt((3 * gaps[0] ** 2 + gaps[1] ** 2) / 4) }],
});
testMetric(mceMass, { cases: [certain, { pairs: two, expected: 0.75 }] });
testMetric(eceDebiased, {
  cases: [
    // A bin of one answer says nothing.
    { pairs: [[0, 1]], expected: 0 },
    // Two equal answers, half of them right: 0.25² - 0.25 / (2 - 1) is below 0.
    { pairs: [[1, 0.75], [0, 0.75]], expected: 0 },
    // Two wrong answers: nothing varies, so nothing is taken off.
    { pairs: [[0, 0.5], [0, 0.5]], expected: 0.5 },
    { pairs: two, expected: Math.sqrt(3 * Math.max(0, gaps[0] ** 2 - 2 / 9 / 2) / 4) },
  ],
});

Deno.test("ece-debiased of calibrated answers is nearer to 0 than ece-mass-l2, in the mean of squares", () => {
  const rng = createRng(3);
  let plain = 0, debiased = 0;
  for (let sample = 0; sample < 50; sample++) {
    const answers = tally(Array.from({ length: 200 }, (): Scored => {
      const pCorrect = rng.random();
      return { label: rng.random() < pCorrect ? 1 : 0, pCorrect };
    }));
    plain += eceMassL2.compute(answers, { bins: 10 }) ** 2;
    debiased += eceDebiased.compute(answers, { bins: 10 }) ** 2;
  }
  assert(debiased < plain / 2, `${debiased} and ${plain}`);
});

for (const bins of [0, -1, 2.5, NaN]) {
  Deno.test(`ece refuses ${bins} bins`, () => {
    const error = assertThrows(
      () => ece.compute(tally([pair(1, 0.5)]), { bins }),
      UserError,
      `"bins" is ${bins}`,
    );
    assertEquals(error.kind, "usage");
  });
}

Deno.test("ece is better when lower", () => assertEquals(ece.better, "lower"));
