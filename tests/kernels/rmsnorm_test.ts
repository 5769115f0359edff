import { rmsnorm } from "../../kernels/rmsnorm.ts";
import { assertClose } from "../close.ts";
import { rmsnorm as reference } from "../reference/norm.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// A sum of up to 2052 squares in f32 and an inverse square root that WGSL allows 2 ULP.
const TOLERANCE = { absolute: 1e-6, relative: 2e-6 };

for (
  const { rows, width, scale, wide, why } of [
    { rows: 0, width: 8, scale: 1, why: "no rows" },
    { rows: 1, width: 4, scale: 1, why: "one row, one vector" },
    { rows: 3, width: 28, scale: 1, why: "a vector short of 8 lanes" },
    { rows: 3, width: 32, scale: 1, why: "a vector for each of 8 lanes" },
    { rows: 3, width: 36, scale: 1, why: "a vector past 8 lanes" },
    { rows: 3, width: 124, scale: 1, wide: true, why: "a vector short of 32 lanes" },
    { rows: 3, width: 132, scale: 1, wide: true, why: "a vector past 32 lanes" },
    { rows: 17, width: 2052, scale: 1, why: "many vectors for each lane" },
    { rows: 2, width: 64, scale: 1e-4, why: "eps outweighs the mean square" },
    { rows: 2, width: 64, scale: 1e6, why: "squares far above 1" },
  ]
) {
  const test = wide ? wideGpuTest : gpuTest;
  test(
    `rmsnorm [${rows}, ${width}] of values up to ${scale} matches the reference (${why})`,
    async (gpu) => {
      const eps = 1e-5;
      const x = noise(rows * width, 1).map((value) => value * scale), weight = noise(width, 2);
      const tensors = {
        x: gpu.upload("x", x, [rows, width]),
        weight: gpu.upload("weight", weight),
        y: gpu.upload("y", noise(rows * width, 3), [rows, width]),
      };
      gpu.run(rmsnorm, { params: { rows, width, eps }, buffers: tensors });
      assertClose(await gpu.readF32(tensors.y), reference(x, weight, eps), TOLERANCE, [rows, width]);
      gpu.free(...Object.values(tensors));
    },
  );
}

gpuTest("rmsnorm of a row of zeros is zero", async (gpu) => {
  const tensors = {
    x: gpu.upload("x", new Float32Array(8)),
    weight: gpu.upload("weight", noise(8, 1)),
    y: gpu.upload("y", noise(8, 2)),
  };
  gpu.run(rmsnorm, { params: { rows: 1, width: 8, eps: 1e-6 }, buffers: tensors });
  assertClose(await gpu.readF32(tensors.y), new Float32Array(8), TOLERANCE);
  gpu.free(...Object.values(tensors));
});
