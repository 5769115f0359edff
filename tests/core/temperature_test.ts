import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { createRng } from "../../core/rng.ts";
import {
  fitTemperature,
  probabilityCorrect,
  probabilityOf,
  softmax,
  TEMPERATURE_LIMITS,
} from "../../core/temperature.ts";

const { lowest, highest } = TEMPERATURE_LIMITS;

/** Rows whose labels are right as often as the logits say at temperature `truth`. */
function rows(count: number, truth: number, seed: number) {
  const rng = createRng(seed);
  return Array.from({ length: count }, () => {
    const logits = [4 * rng.random() - 2, 6 * rng.random() - 3] as const;
    return { logits, label: rng.random() < probabilityCorrect(logits, truth) ? 1 : 0 } as const;
  });
}

/** Mean negative log-likelihood in nats, as written in a textbook. */
const nll = (sample: ReturnType<typeof rows>, temperature: number) =>
  sample.reduce((sum, { logits, label }) => {
    const p = probabilityCorrect(logits, temperature);
    return sum - Math.log(label === 1 ? p : 1 - p) / sample.length;
  }, 0);

Deno.test("probabilityCorrect() is the second of the softmaxed logits", () => {
  const [wrong, correct] = [Math.exp(0.3), Math.exp(-1.2)];
  assertAlmostEquals(probabilityCorrect([0.3, -1.2]), correct / (wrong + correct), 1e-15);
  assertEquals(probabilityCorrect([5, 5]), 0.5);
});

Deno.test("probabilityCorrect() divides the logits by the temperature", () => {
  assertEquals(probabilityCorrect([0, 3], 2), probabilityCorrect([0, 1.5]));
});

Deno.test("probabilityCorrect() stays in [0, 1] for logits whose exponentials overflow", () => {
  assertEquals(probabilityCorrect([0, 1e4]), 1);
  assertEquals(probabilityCorrect([1e4, 0]), 0);
  assertEquals(probabilityCorrect([-1e308, 1e308]), 1);
});

for (const [truth, seed] of [[0.3, 1], [1, 2], [2.5, 3], [7, 4]]) {
  Deno.test(`fitTemperature() finds no worse a temperature than a fine grid (truth ${truth})`, () => {
    const sample = rows(400, truth, seed);
    const { temperature, nllBefore, nllAfter, bounded } = fitTemperature(sample);
    assert(bounded);
    assertAlmostEquals(nllBefore, nll(sample, 1), 1e-12);
    assertAlmostEquals(nllAfter, nll(sample, temperature), 1e-12);
    // 4000 steps over the limits, each 0.23 % above the one before.
    for (let step = 0; step <= 4000; step++) {
      const other = lowest * (highest / lowest) ** (step / 4000);
      assert(nllAfter <= nll(sample, other) + 1e-12, `${other} is likelier than ${temperature}`);
    }
  });
}

Deno.test("fitTemperature() is where the mean confidence in a margin is the share of correct answers", () => {
  const labels = [1, 1, 0, 1, 0, 1, 1, 0] as const;
  const { temperature } = fitTemperature(labels.map((label) => ({ logits: [1, 4], label })));
  assertAlmostEquals(probabilityCorrect([1, 4], temperature), 5 / 8, 1e-12);
});

Deno.test("fitTemperature() scales with the logits", () => {
  const sample = rows(200, 2, 5);
  const scaled = sample.map(({ logits: [a, b], label }) => ({ logits: [3 * a, 3 * b] as const, label }));
  const expected = 3 * fitTemperature(sample).temperature;
  assertAlmostEquals(fitTemperature(scaled).temperature, expected, 1e-9);
});

for (const label of [0, 1] as const) {
  /** Answers that are all `label`; a positive margin speaks for it. */
  const fit = (...margins: number[]) =>
    fitTemperature(margins.map((margin) => ({ logits: label === 1 ? [0, margin] : [margin, 0], label })));

  Deno.test(`fitTemperature() of answers that are all ${label} sharpens to the limit if each is foreseen`, () => {
    const { temperature, bounded } = fit(2, 4);
    assertAlmostEquals(temperature, lowest, 1e-12);
    assertEquals(bounded, false);
  });

  Deno.test(`fitTemperature() of answers that are all ${label} softens to the limit if none is foreseen`, () => {
    const { temperature, bounded } = fit(-2, -4);
    assertAlmostEquals(temperature, highest, 1e-9);
    assertEquals(bounded, false);
  });

  Deno.test(`fitTemperature() of answers that are all ${label} lies within the limits if some are foreseen`, () => {
    const { temperature, bounded } = fit(-1, 2);
    assert(temperature > lowest && temperature < highest, `${temperature}`);
    assertEquals(bounded, true);
  });
}

Deno.test("fitTemperature() stays finite for logits far beyond what exponentials bear", () => {
  const { temperature, nllBefore, nllAfter } = fitTemperature([
    { logits: [0, 1e5], label: 0 },
    { logits: [0, 1e5], label: 1 },
    { logits: [1e5, 0], label: 1 },
    { logits: [0, 1e5], label: 1 },
  ]);
  assertEquals([nllBefore, temperature].every(Number.isFinite), true);
  assert(nllAfter < nllBefore);
});

Deno.test("fitTemperature() never makes the labels less likely", () => {
  for (let seed = 0; seed < 20; seed++) {
    const { nllBefore, nllAfter } = fitTemperature(rows(10, 1, seed));
    assert(nllAfter <= nllBefore + 1e-12, `seed ${seed}: ${nllBefore} became ${nllAfter}`);
  }
});

Deno.test("fitTemperature() takes the logits of several answers, and finds what a fine grid does", () => {
  const rng = createRng(11);
  const sample = Array.from({ length: 300 }, () => {
    const logits = Array.from({ length: 3 + rng.integer(3) }, () => 6 * rng.random());
    const uniform = rng.random(), p = softmax(logits, 3);
    let label = 0;
    for (let mass = p[0]; mass < uniform && label < p.length - 1;) mass += p[++label];
    return { logits, label };
  });
  const crossEntropy = (temperature: number) =>
    sample.reduce((sum, { logits, label }) => sum - Math.log(softmax(logits, temperature)[label]) / 300, 0);
  const { temperature, nllBefore, nllAfter } = fitTemperature(sample);
  assertAlmostEquals(nllBefore, crossEntropy(1), 1e-12);
  assertAlmostEquals(nllAfter, crossEntropy(temperature), 1e-12);
  for (let step = 0; step <= 1000; step++) {
    assert(nllAfter <= crossEntropy(lowest * (highest / lowest) ** (step / 1000)) + 1e-12);
  }
});

Deno.test("probabilityOf() is the share of the answer that was given among all there were", () => {
  const score = { logits: [1, 3, 2], answer: 2, target: 1 };
  const total = Math.exp(1) + Math.exp(3) + Math.exp(2);
  assertAlmostEquals(probabilityOf(score)!, Math.exp(2) / total, 1e-15);
  assertAlmostEquals(probabilityOf(score, 2)!, softmax([0.5, 1.5, 1])[2], 1e-15);
  assertEquals(probabilityOf({ logits: [1e4, 0], answer: 0, target: 0 }), 1);
  // With two options it is the softmax of two scores.
  assertEquals(probabilityOf({ logits: [1, 3], answer: 1, target: 1 }), probabilityOf([1, 3]));
});

Deno.test("fitTemperature() refuses no rows", () => {
  assertThrows(() => fitTemperature([]), RangeError, "at least one row");
});
