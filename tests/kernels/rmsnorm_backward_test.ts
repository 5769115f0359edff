import { rmsnormBackward } from "../../kernels/rmsnorm_backward.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { rmsnorm, rmsnormBackward as reference } from "../reference/norm.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// Two sums of up to 2052 products in f32, one of them cubed in the result.
const TOLERANCE = { absolute: 5e-6, relative: 5e-6 };
// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-8, relative: 1e-8 };
const EPS = 1e-5;

Deno.test("the reference of rmsnorm_backward is the gradient of rmsnorm", () => {
  const rows = 2, width = 12;
  const x = noise(rows * width, 1), weight = noise(width, 2), dy = noise(rows * width, 3);
  const gradient = centralDifferences((at) => inner(rmsnorm(at, weight, EPS), dy), x);
  assertClose(reference(x, weight, dy, EPS), gradient, DIFFERENCES, [rows, width]);
});

for (
  const { rows, width, wide, why } of [
    { rows: 0, width: 8, why: "no rows" },
    { rows: 1, width: 4, why: "one row, one vector" },
    { rows: 3, width: 28, why: "a vector short of 8 lanes" },
    { rows: 3, width: 32, why: "a vector for each of 8 lanes" },
    { rows: 3, width: 36, why: "a vector past 8 lanes" },
    { rows: 3, width: 132, wide: true, why: "a vector past 32 lanes" },
    { rows: 17, width: 2052, why: "many vectors for each lane" },
  ]
) {
  const test = wide ? wideGpuTest : gpuTest;
  test(`rmsnorm_backward [${rows}, ${width}] adds the reference to dx (${why})`, async (gpu) => {
    const x = noise(rows * width, 1), weight = noise(width, 2), dy = noise(rows * width, 3);
    const before = noise(rows * width, 4);
    const tensors = {
      x: gpu.upload("x", x, [rows, width]),
      weight: gpu.upload("weight", weight),
      dy: gpu.upload("dy", dy, [rows, width]),
      dx: gpu.upload("dx", before, [rows, width]),
    };
    gpu.run(rmsnormBackward, { params: { rows, width, eps: EPS }, buffers: tensors });
    const expected = reference(x, weight, dy, EPS).map((value, index) => before[index] + value);
    assertClose(await gpu.readF32(tensors.dx), expected, TOLERANCE, [rows, width]);
    gpu.free(...Object.values(tensors));
  });
}
