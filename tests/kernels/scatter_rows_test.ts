import { scatterRows } from "../../kernels/scatter_rows.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { gatherRows, scatterRows as reference } from "../reference/rows.ts";
import { gpuTest, noise } from "./_gpu.ts";

// One sum of two values up to 1, in f32.
const TOLERANCE = { absolute: 1.2e-7, relative: 0 };
// The map is linear, so differences are exact but for rounding in f64.
const DIFFERENCES = { absolute: 1e-9, relative: 0 };

Deno.test("the reference of scatter_rows is the gradient of gather_rows", () => {
  const width = 4, index = [2, 0], x = noise(3 * width, 1), dy = noise(2 * width, 2);
  const gradient = centralDifferences((at) => inner(gatherRows(at, index, width), dy), x);
  assertClose(reference(dy, index, new Float32Array(x.length), width), gradient, DIFFERENCES, [3, width]);
});

for (
  const { index, width, targetRows, why } of [
    { index: [], width: 8, targetRows: 3, why: "no rows" },
    { index: [0], width: 4, targetRows: 1, why: "one row, one vector" },
    { index: [4, 1], width: 252, targetRows: 5, why: "a vector short of a workgroup" },
    { index: [4, 1], width: 256, targetRows: 5, why: "a workgroup of vectors" },
    { index: [0, 3, 1], width: 260, targetRows: 5, why: "a vector past a workgroup" },
  ]
) {
  gpuTest(`scatter_rows adds ${index.length} rows of ${width} to ${targetRows} (${why})`, async (gpu) => {
    const rows = index.length, x = noise(rows * width, 1), y = noise(targetRows * width, 2);
    const tensors = {
      index: gpu.upload("index", Uint32Array.from(index)),
      x: gpu.upload("x", x, [rows, width]),
      y: gpu.upload("y", y, [targetRows, width]),
    };
    gpu.run(scatterRows, { params: { rows, width, target_rows: targetRows }, buffers: tensors });
    assertClose(await gpu.readF32(tensors.y), reference(x, index, y, width), TOLERANCE, [targetRows, width]);
    gpu.free(...Object.values(tensors));
  });
}
