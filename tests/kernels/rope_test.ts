import { rope } from "../../kernels/rope.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { rope as reference, ropeTable } from "../reference/rope.ts";
import { gpuTest, noise, noiseIndices } from "./_gpu.ts";

// Two products and a sum of values up to 1, in f32.
const TOLERANCE = { absolute: 3e-7, relative: 0 };
// The map is linear, so differences are exact but for rounding in f64.
const DIFFERENCES = { absolute: 1e-9, relative: 0 };
const CAPACITY = 50, THETA = 10000;

Deno.test("the reference of rope turned back is the gradient of rope", () => {
  const shape = { heads: 2, headDim: 8, stride: 24, first: 4 };
  const positions = [3, 0, 41], x = noise(3 * 24, 1), dy = noise(3 * 24, 2);
  const table = ropeTable(CAPACITY, shape.headDim, THETA);
  const gradient = centralDifferences((at) => inner(reference(at, positions, table, shape, 1), dy), x);
  assertClose(reference(dy, positions, table, shape, -1), gradient, DIFFERENCES, [3, 24]);
});

for (
  const { rows, heads, headDim, stride, first, why } of [
    { rows: 0, heads: 1, headDim: 8, stride: 8, first: 0, why: "no rows" },
    { rows: 1, heads: 1, headDim: 8, stride: 8, first: 0, why: "one row, one invocation" },
    {
      rows: 3,
      heads: 2,
      headDim: 24,
      stride: 60,
      first: 8,
      why: "columns before and after stay as they are",
    },
    { rows: 2, heads: 63, headDim: 8, stride: 504, first: 0, why: "one invocation short of a workgroup" },
    { rows: 2, heads: 8, headDim: 64, stride: 512, first: 0, why: "a workgroup exactly" },
    { rows: 65, heads: 5, headDim: 104, stride: 520, first: 0, why: "one invocation past a workgroup" },
  ]
) {
  for (const direction of [1, -1] as const) {
    const name = `rope of ${heads} heads of ${headDim} in [${rows}, ${stride}], direction ${direction}`;
    gpuTest(`${name}, matches the reference (${why})`, async (gpu) => {
      const x = noise(rows * stride, 1), positions = noiseIndices(rows, CAPACITY, 2);
      const table = ropeTable(CAPACITY, headDim, THETA);
      const tensors = {
        positions: gpu.upload("positions", positions),
        table: gpu.upload("table", table, [CAPACITY, headDim / 2, 2]),
        x: gpu.upload("x", x, [rows, stride]),
      };
      gpu.run(rope, {
        params: { rows, heads, head_dim: headDim, stride, first, capacity: CAPACITY, direction },
        buffers: tensors,
      });
      const expected = reference(x, positions, table, { heads, headDim, stride, first }, direction);
      assertClose(await gpu.readF32(tensors.x), expected, TOLERANCE, [rows, stride]);
      gpu.free(...Object.values(tensors));
    });
  }
}
