import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { createRng, type Scored, smece, tally } from "@credence/credence";
import { testMetric } from "@credence/credence/testing";

testMetric(smece, { cases: [{ pairs: [[1, 1], [0, 0]], expected: 0 }] });

/** Made-up answers that are correct as often as their confidence, moved by `shift`, says. */
function answers(count: number, shift: number) {
  const rng = createRng(count);
  return tally(Array.from({ length: count }, (): Scored => {
    const pCorrect = 0.3 + 0.4 * rng.random();
    return { label: rng.random() < pCorrect + shift ? 1 : 0, pCorrect };
  }));
}

Deno.test("smece of a confidence that is 0.2 too low everywhere is about 0.2", () => {
  assertAlmostEquals(smece.compute(answers(20_000, 0.2), {}), 0.2, 0.015);
});

Deno.test("smece of calibrated answers is small, and smaller with more of them", () => {
  const [few, many] = [smece.compute(answers(300, 0), {}), smece.compute(answers(30_000, 0), {})];
  assert(few < 0.08 && many < 0.02 && many < few, `${few} and ${many}`);
});

Deno.test("smece does not jump at an edge, as errors in bins do", () => {
  const at = (pCorrect: number) =>
    smece.compute(tally([{ label: 1, pCorrect }, { label: 0, pCorrect: 0.55 }]), {});
  assertAlmostEquals(at(0.6 - 1e-9), at(0.6 + 1e-9), 1e-6);
});

Deno.test("smece is better when lower", () => assertEquals(smece.better, "lower"));
