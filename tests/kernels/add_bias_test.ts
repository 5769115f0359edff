import { addBias } from "../../kernels/add_bias.ts";
import { assertClose } from "../close.ts";
import { addBias as reference } from "../reference/bias.ts";
import { gpuTest, noise } from "./_gpu.ts";

// One product and one sum of values up to 1, each rounded once.
const TOLERANCE = { absolute: 2.4e-7, relative: 0 };

for (
  const { rows, columns, stride, first, scale, why } of [
    { rows: 0, columns: 8, stride: 8, first: 0, scale: 1, why: "no rows" },
    { rows: 2, columns: 0, stride: 8, first: 0, scale: 1, why: "no columns" },
    { rows: 1, columns: 1, stride: 3, first: 1, scale: 1, why: "one value, neighbours on both sides" },
    { rows: 3, columns: 63, stride: 63, first: 0, scale: 1, why: "one short of a workgroup" },
    { rows: 3, columns: 64, stride: 64, first: 0, scale: -0.5, why: "a workgroup" },
    {
      rows: 65,
      columns: 65,
      stride: 130,
      first: 65,
      scale: 0.25,
      why: "one past a workgroup, in wider rows",
    },
  ]
) {
  gpuTest(`add_bias [${rows}, ${columns}] matches the reference (${why})`, async (gpu) => {
    const bias = noise(columns, 1), before = noise((rows + 1) * stride, 2);
    const tensors = { bias: gpu.upload("bias", bias), y: gpu.upload("y", before, [rows + 1, stride]) };
    gpu.run(addBias, { params: { rows, columns, stride, first, scale }, buffers: tensors });
    const expected = reference(bias, before, { rows, stride, first, scale });
    assertClose(await gpu.readF32(tensors.y), expected, TOLERANCE, [rows + 1, stride]);
    gpu.free(...Object.values(tensors));
  });
}
