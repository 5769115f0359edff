import { crossEntropy } from "../../kernels/cross_entropy.ts";
import { assertClose } from "../close.ts";
import { centralDifferences } from "../reference/central_differences.ts";
import { crossEntropy as reference, crossEntropyBackward } from "../reference/loss.ts";
import { gpuTest, noise, noiseIndices, wideGpuTest } from "./_gpu.ts";

// Differences of logits up to 60 are rounded to 4e-6, and WGSL allows log an absolute error of 5e-7.
const LOSS = { absolute: 5e-6, relative: 2e-6 };
// A probability's relative error is that of its logit, so at most 4e-6.
const GRADIENT = { absolute: 1e-6, relative: 5e-6 };
// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-9, relative: 1e-8 };

Deno.test("the reference of cross_entropy agrees with torch's cross_entropy(label_smoothing=0.1)", () => {
  const z = [0.5, -1, 2, 0.25];
  const torchGradient = [
    0.12923482528416222,
    0.009414441266120205,
    -0.23376746925846925,
    0.09511820270818683,
  ];
  assertClose([reference(z, 2, 0.1)], [0.5255289984482534], DIFFERENCES);
  assertClose(crossEntropyBackward(z, 2, 0.1), torchGradient, DIFFERENCES);
});

Deno.test("the reference of cross_entropy's gradient is the gradient of its loss", () => {
  const z = noise(7, 1).map((value) => value * 4);
  for (const smoothing of [0, 0.1]) {
    const gradient = centralDifferences((at) => reference(at, 3, smoothing), z);
    assertClose(crossEntropyBackward(z, 3, smoothing), gradient, DIFFERENCES);
  }
});

for (
  const { rows, classes, size, wide, why } of [
    { rows: 0, classes: 2, size: 4, why: "no rows" },
    { rows: 1, classes: 2, size: 4, why: "one row, two classes" },
    { rows: 5, classes: 7, size: 4, why: "a class short of 8 lanes" },
    { rows: 5, classes: 8, size: 4, why: "a class for each of 8 lanes" },
    { rows: 5, classes: 9, size: 4, why: "a class past 8 lanes" },
    { rows: 5, classes: 33, size: 4, wide: true, why: "a class past 32 lanes" },
    { rows: 65, classes: 1003, size: 30, why: "many classes for each lane, logits far apart" },
    { rows: 9, classes: 3, size: 1e4, why: "logits whose exponential overflows f32" },
  ]
) {
  for (const smoothing of [0, 0.1]) {
    const name = `cross_entropy [${rows}, ${classes}] of logits up to ${size}, smoothing ${smoothing}`;
    const test = wide ? wideGpuTest : gpuTest;
    test(`${name}, matches the reference (${why})`, async (gpu) => {
      const scale = 0.25;
      const logits = noise(rows * classes, 1).map((value) => value * size);
      const labels = noiseIndices(rows, classes, 2);
      const tensors = {
        logits: gpu.upload("logits", logits, [rows, classes]),
        labels: gpu.upload("labels", labels),
        loss: gpu.upload("loss", noise(rows, 3)),
        dlogits: gpu.upload("dlogits", noise(rows * classes, 4), [rows, classes]),
      };
      gpu.run(crossEntropy, { params: { rows, classes, scale, smoothing }, buffers: tensors });
      const losses: number[] = [], gradients: number[] = [];
      for (let r = 0; r < rows; r++) {
        const row = logits.subarray(r * classes, (r + 1) * classes);
        losses.push(reference(row, labels[r], smoothing));
        gradients.push(...crossEntropyBackward(row, labels[r], smoothing).map((value) => scale * value));
      }
      assertClose(await gpu.readF32(tensors.loss), losses, LOSS);
      assertClose(await gpu.readF32(tensors.dlogits), gradients, GRADIENT, [rows, classes]);
      gpu.free(...Object.values(tensors));
    });
  }
}
