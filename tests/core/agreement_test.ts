import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { krippendorffAlpha } from "../../core/agreement.ts";
import { createRng, type Estimate, type Label } from "../../core/mod.ts";
import recorded from "../golden/krippendorff.json" with { type: "json" };

const alpha = (votes: readonly (readonly Label[])[]) =>
  krippendorffAlpha(votes.map((votes) => ({ votes })), createRng(1), 500);

for (const { name, alpha: expected, labels } of recorded.cases) {
  Deno.test(`krippendorffAlpha() is ${expected?.toFixed(3) ?? "undefined"} for ${name}, as the krippendorff package has it`, () => {
    const votes = labels[0].map((_, row) => labels.map((labeler) => labeler[row] as Label));
    const found = alpha(votes);
    if (expected === null) assert("undefined" in found, JSON.stringify(found));
    else assertAlmostEquals((found as Estimate).value, expected, 1e-12);
  });
}

Deno.test("krippendorffAlpha() has the value of Krippendorff's own example", () => {
  assertAlmostEquals(recorded.cases[0].alpha!, 0.095, 5e-4);
});

Deno.test("krippendorffAlpha() says why it has no value", () => {
  assertEquals(alpha([[1, null], [null, 0], []]), { undefined: "no answer has labels of two labelers" });
  assertEquals(alpha([[0, 0], [0, 0]]), { undefined: "all labels are wrong" });
});

Deno.test("krippendorffAlpha() has an interval about its value, narrower for more answers, and of no width for perfect agreement", () => {
  const labels: readonly (readonly Label[])[] = recorded.cases.find(({ name }) => name === "two")!
    .labels as Label[][];
  const votes = labels[0].map((_, row) => labels.map((labeler) => labeler[row]));
  const few = alpha(votes) as Estimate,
    many = alpha(Array.from({ length: 10 }, () => votes).flat()) as Estimate;
  assert(few.low! < few.value && few.value < few.high!);
  assert(many.high! - many.low! < 0.5 * (few.high! - few.low!));
  assertEquals(alpha([[1, 1], [0, 0], [1, 1], [0, 0], [1, 1], [0, 0]]), { value: 1, low: 1, high: 1 });
});

Deno.test("krippendorffAlpha() resamples groups as wholes", () => {
  const votes = Array.from({ length: 40 }, (_, row) => ({
    votes: (row < 20 ? [row % 2, row % 2] : [row % 2, 1 - row % 2]) as Label[],
    group: row < 20 ? "agree" : row < 30 ? "a" : "b",
  }));
  const grouped = krippendorffAlpha(votes, createRng(1), 500) as Estimate;
  const single = krippendorffAlpha(votes.map(({ votes }) => ({ votes })), createRng(1), 500) as Estimate;
  assert(grouped.high! - grouped.low! > 1.3 * (single.high! - single.low!));
});
