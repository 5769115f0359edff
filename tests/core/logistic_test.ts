import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { createRng } from "../../core/rng.ts";
import { fitLogistic, sigmoid, softplus } from "../../core/logistic.ts";

Deno.test("fitLogistic() ends where the gradient of the penalised cross-entropy is 0", () => {
  const rng = createRng(2);
  const features = Array.from({ length: 300 }, () => [4 * rng.random() - 2, rng.random()]);
  const targets = features.map(([a, b]) => rng.random() < sigmoid(a - 2 * b + 0.5) ? 1 : 0);
  for (const ridge of [0, 1e-11, 3]) {
    const { weights, intercept } = fitLogistic(features, targets, ridge);
    const slope = [0, 0, 0];
    features.forEach(([a, b], index) => {
      const error = sigmoid(weights[0] * a + weights[1] * b + intercept) - targets[index];
      [a, b, 1].forEach((value, column) => slope[column] += error * value);
    });
    weights.forEach((weight, index) => assertAlmostEquals(slope[index] + ridge * weight, 0, 1e-6));
    assertAlmostEquals(slope[2], 0, 1e-6);
  }
});

Deno.test("fitLogistic() takes probabilities as targets, and none but an intercept", () => {
  const { weights, intercept } = fitLogistic([[], [], []], [0.2, 0.5, 0.8]);
  assertEquals(weights, []);
  assertAlmostEquals(sigmoid(intercept), 0.5, 1e-12);
});

Deno.test("fitLogistic() leaves a feature that never changes to the intercept, and stays finite", () => {
  const { weights, intercept } = fitLogistic([[2], [2], [2], [2]], [1, 1, 1, 0]);
  assertAlmostEquals(sigmoid(2 * weights[0] + intercept), 0.75, 1e-9);
  const separable = fitLogistic([[-1], [1]], [0, 1], 1e-11);
  assert(Number.isFinite(separable.weights[0]) && separable.weights[0] > 5);
});

Deno.test("softplus() does not overflow, nor lose what is small", () => {
  assertEquals([softplus(1e4), softplus(-1e4)], [1e4, 0]);
  assertAlmostEquals(softplus(0), Math.LN2, 1e-15);
  assertAlmostEquals(softplus(-30) / Math.exp(-30), 1, 1e-12);
});
