import { gatherRows } from "../../kernels/gather_rows.ts";
import { assertClose } from "../close.ts";
import { gatherRows as reference } from "../reference/rows.ts";
import { gpuTest, noise, noiseIndices } from "./_gpu.ts";

// Values are copied, so the smallest difference is too large.
const EXACT = { absolute: Number.MIN_VALUE, relative: 0 };

for (
  const { rows, width, sourceRows, why } of [
    { rows: 0, width: 8, sourceRows: 4, why: "no rows" },
    { rows: 1, width: 4, sourceRows: 1, why: "one row, one vector" },
    { rows: 3, width: 252, sourceRows: 9, why: "a vector short of a workgroup" },
    { rows: 3, width: 256, sourceRows: 9, why: "a workgroup of vectors" },
    { rows: 3, width: 260, sourceRows: 9, why: "a vector past a workgroup" },
    { rows: 65, width: 12, sourceRows: 9, why: "rows more than once" },
  ]
) {
  gpuTest(`gather_rows copies ${rows} of ${sourceRows} rows of ${width} (${why})`, async (gpu) => {
    const x = noise(sourceRows * width, 1), index = noiseIndices(rows, sourceRows, 2);
    const tensors = {
      index: gpu.upload("index", index),
      x: gpu.upload("x", x, [sourceRows, width]),
      y: gpu.upload("y", noise(rows * width, 3), [rows, width]),
    };
    gpu.run(gatherRows, { params: { rows, width, source_rows: sourceRows }, buffers: tensors });
    assertClose(await gpu.readF32(tensors.y), reference(x, index, width), EXACT, [rows, width]);
    gpu.free(...Object.values(tensors));
  });
}
