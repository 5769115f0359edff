import { assertEquals, assertThrows } from "@std/assert";
import {
  accuracyAtCoverage50,
  accuracyAtCoverage70,
  accuracyAtCoverage80,
  accuracyAtCoverage90,
  coverageAtAccuracy90,
  type Scored,
  tally,
  thresholdAtAccuracy90,
  UserError,
} from "@credence/credence";
import { testMetric } from "@credence/credence/testing";

/** Ten answers from 1.0 down to 0.1; these are wrong. */
const ten = (...wrong: readonly number[]) =>
  Array.from({ length: 10 }, (_, index) => [wrong.includes(index) ? 0 : 1, (10 - index) / 10] as const);

testMetric(accuracyAtCoverage50, {
  cases: [
    { pairs: ten(4, 5, 6), expected: 4 / 5 },
    // Of three answers, half is two.
    { pairs: [[1, 0.9], [0, 0.5], [1, 0.1]], expected: 0.5 },
    // Of the four at the border, half of each is kept.
    { pairs: [[1, 0.9], [1, 0.5], [0, 0.5], [0, 0.5], [0, 0.5], [1, 0.1]], expected: (1 + 2 / 4) / 3 },
  ],
});
// 0.7 times 10 is a hair above 7 in floating point, which does not make it eight.
testMetric(accuracyAtCoverage70, { cases: [{ pairs: ten(6, 7), expected: 6 / 7 }] });
testMetric(accuracyAtCoverage80, { cases: [{ pairs: ten(7), expected: 7 / 8 }] });
testMetric(accuracyAtCoverage90, { cases: [{ pairs: ten(9), expected: 1 }] });

testMetric(thresholdAtAccuracy90, {
  cases: [
    { pairs: ten(9), expected: 0.1 },
    { pairs: ten(8, 9), expected: 0.3 },
    // The first answer is wrong; only all ten together reach 90 %.
    { pairs: ten(0), expected: 0.1 },
    { pairs: [[1, 0.6], [1, 0.6], [0, 0.2]], expected: 0.6 },
  ],
  undefined: [[[0, 0.9]], [[1, 0.5], [0, 0.5]]],
});

testMetric(coverageAtAccuracy90, {
  cases: [{ pairs: ten(8, 9), expected: 0.8 }, { pairs: [[1, 0.6], [0, 0.2]], expected: 0.5 }],
  undefined: [[[0, 0.9]]],
});

const rows = tally([{ label: 1, pCorrect: 0.5 } satisfies Scored]);

for (const share of [0, -1, 1.1, NaN]) {
  Deno.test(`accuracy-at-coverage-50 and threshold-at-accuracy-90 refuse a share of ${share}`, () => {
    assertThrows(
      () => accuracyAtCoverage50.compute(rows, { coverage: share }),
      UserError,
      `"coverage" is ${share}`,
    );
    assertThrows(
      () => thresholdAtAccuracy90.compute(rows, { accuracy: share }),
      UserError,
      `"accuracy" is ${share}`,
    );
    assertThrows(
      () => coverageAtAccuracy90.compute(rows, { accuracy: share }),
      UserError,
      `"accuracy" is ${share}`,
    );
  });
}

Deno.test("accuracy at a coverage is better when higher, a threshold when lower", () => {
  const better = [accuracyAtCoverage50, coverageAtAccuracy90, thresholdAtAccuracy90].map(({ better }) =>
    better
  );
  assertEquals(better, ["higher", "higher", "lower"]);
});
