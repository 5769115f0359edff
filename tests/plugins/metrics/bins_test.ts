import { assertEquals, assertThrows } from "@std/assert";
import { type Scored, tally, UserError } from "@credence/credence";
import { checkBins, equalMass, equalWidth } from "../../../plugins/metrics/bins.ts";

const answers = (...confidences: readonly number[]) =>
  tally(confidences.map((pCorrect, index): Scored => ({ label: index % 2 as 0 | 1, pCorrect })));

const counts = (bins: readonly { readonly n: number }[]) => bins.map(({ n }) => n);

Deno.test("equalWidth() leaves out empty bins, and counts 1 in the last", () => {
  assertEquals(counts(equalWidth(answers(0, 0.05, 0.95, 1), 10)), [2, 2]);
});

Deno.test("equalWidth() puts 0.3 below the edge that linspace makes a rounding above it, as netcal does", () => {
  assertEquals(counts(equalWidth(answers(0.25, 0.3, 0.35), 10)), [2, 1]);
});

Deno.test("equalWidth() adds up confidences and correct answers of a bin", () => {
  assertEquals(equalWidth(answers(0.25, 0.25, 0.125), 1), [{ n: 3, confidence: 0.625, correct: 1 }]);
});

Deno.test("equalMass() cuts as array_split: the first bins hold what is left over", () => {
  assertEquals(counts(equalMass(answers(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), 3)), [3, 2, 2]);
});

Deno.test("equalMass() keeps equal confidences together, in the lower of the bins they fall into", () => {
  assertEquals(counts(equalMass(answers(0.1, 0.5, 0.5, 0.5, 0.5, 0.9), 3)), [5, 1]);
  assertEquals(counts(equalMass(answers(1, 1, 1), 10)), [3]);
});

Deno.test("equalMass() has no more bins than answers", () => {
  assertEquals(counts(equalMass(answers(0.2, 0.8), 10)), [1, 1]);
});

for (const bins of [0, 1.5, NaN]) {
  Deno.test(`checkBins() refuses ${bins} bins, naming the metric`, () => {
    const { where } = assertThrows(() => checkBins(bins, "ece"), UserError, `"bins" is ${bins}`);
    assertEquals(where, 'options of metric "ece"');
  });
}
