import { columnSums } from "../../kernels/column_sums.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { addBias } from "../reference/bias.ts";
import { columnSums as reference } from "../reference/classifier.ts";
import { gpuTest, noise } from "./_gpu.ts";

// Up to 300 sums of values up to 1, each rounded to half of 2^-24 of a partial sum of about 20.
const TOLERANCE = { absolute: 2e-5, relative: 1e-6 };

Deno.test("the reference of column_sums is the gradient of a bias", () => {
  const rows = 3, columns = 5, zeros = new Float64Array(rows * columns), dy = noise(rows * columns, 2);
  const loss = (bias: ArrayLike<number>) =>
    inner(addBias(bias, zeros, { rows, stride: columns, first: 0, scale: 1 }), dy);
  assertClose(reference(dy, columns), centralDifferences(loss, noise(columns, 1)), {
    absolute: 1e-8,
    relative: 1e-8,
  });
});

for (
  const { rows, columns, first, why } of [
    { rows: 0, columns: 8, first: 0, why: "no rows" },
    { rows: 1, columns: 1, first: 1, why: "one value" },
    { rows: 3, columns: 63, first: 0, why: "a column short of a workgroup" },
    { rows: 3, columns: 64, first: 5, why: "a workgroup, neighbours on both sides" },
    { rows: 300, columns: 65, first: 64, why: "a column past a workgroup, many rows" },
  ]
) {
  gpuTest(`column_sums [${rows}, ${columns}] adds to what was there (${why})`, async (gpu) => {
    const x = noise(rows * columns, 1), before = noise(first + columns + 3, 2);
    const tensors = { x: gpu.upload("x", x, [rows, columns]), sums: gpu.upload("sums", before) };
    gpu.run(columnSums, { params: { rows, columns, first }, buffers: tensors });
    const expected = Float64Array.from(before);
    reference(x, columns).forEach((sum, column) => expected[first + column] += sum);
    assertClose(await gpu.readF32(tensors.sums), expected, TOLERANCE);
    gpu.free(...Object.values(tensors));
  });
}
