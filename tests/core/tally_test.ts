import { assertEquals, assertThrows } from "@std/assert";
import { tally, TallyPlan } from "../../core/tally.ts";
import type { Scored, Tally } from "../../core/types.ts";

const row = (label: 0 | 1, pCorrect: number): Scored => ({ label, pCorrect });

const plain = ({ pCorrect, correct, wrong, n, nCorrect }: Tally) => ({
  pCorrect: [...pCorrect],
  correct: [...correct],
  wrong: [...wrong],
  n,
  nCorrect,
});

Deno.test("tally() counts correct and wrong answers of each confidence, in ascending order", () => {
  const answers = tally([row(1, 0.9), row(0, 0.1), row(0, 0.9), row(1, 0.9), row(1, 10 / 100)]);
  assertEquals(plain(answers), { pCorrect: [0.1, 0.9], correct: [1, 2], wrong: [1, 1], n: 5, nCorrect: 3 });
});

Deno.test("tally() sorts numbers as numbers", () => {
  assertEquals([...tally([row(1, 1e-7), row(1, 0.5), row(1, 0), row(1, 1)]).pCorrect], [0, 1e-7, 0.5, 1]);
});

Deno.test("tally() takes -0 for 0", () => {
  const answers = plain(tally([row(1, -0), row(0, 0)]));
  assertEquals([answers.pCorrect, answers.correct, answers.wrong], [[0], [1], [1]]);
});

for (const bad of [NaN, -0.1, 1.1, Infinity]) {
  Deno.test(`tally() refuses a confidence of ${bad}`, () => {
    assertThrows(() => tally([row(1, 0.5), row(0, bad)]), RangeError, `P(correct) is ${bad}`);
  });
}

Deno.test("tally() refuses no answers", () => {
  assertThrows(() => tally([]), RangeError, "no answers");
});

Deno.test("TallyPlan.count() counts a row as often as its unit was drawn, and leaves out what was not", () => {
  const plan = new TallyPlan([row(1, 0.9), row(0, 0.1), row(0, 0.9), row(1, 0.5)]);
  assertEquals(plain(plan.count(Float64Array.of(2, 0, 3), [0, 1, 0, 2])), {
    pCorrect: [0.5, 0.9],
    correct: [3, 2],
    wrong: [0, 2],
    n: 7,
    nCorrect: 5,
  });
});

Deno.test("TallyPlan.count() gives each count arrays of its own", () => {
  const plan = new TallyPlan([row(1, 0.9), row(0, 0.1)]);
  const first = plan.count(Float64Array.of(1, 1), [0, 1]);
  plan.count(Float64Array.of(0, 5), [0, 1]);
  assertEquals([...first.correct, ...first.wrong], [0, 1, 1, 0]);
});
