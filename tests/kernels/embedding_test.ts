import { embedding } from "../../kernels/embedding.ts";
import { assertClose } from "../close.ts";
import { gatherRows } from "../reference/rows.ts";
import { depthFor, gpuTest, noise, noiseIndices, packed, uploadPacked, WEIGHT_TYPES } from "./_gpu.ts";

// Values are copied, or one product in f32, so the smallest difference is too large.
const EXACT = { absolute: Number.MIN_VALUE, relative: 0 };

for (
  const { rows, width: packedBy8, why } of [
    { rows: 0, width: 8, why: "no rows" },
    { rows: 1, width: 8, why: "one row, one pack" },
    { rows: 3, width: 252, why: "one f32 pack short of a workgroup" },
    { rows: 3, width: 256, why: "a workgroup of f32 packs" },
    { rows: 3, width: 260, why: "one f32 pack past a workgroup" },
    {
      rows: 65,
      width: 504,
      why: "one 16-bit or quantised pack short of a workgroup, more rows than invocations",
    },
    { rows: 3, width: 512, why: "a workgroup of 16-bit or quantised packs" },
    { rows: 3, width: 520, why: "one 16-bit or quantised pack past a workgroup" },
  ]
) {
  for (const dtype of WEIGHT_TYPES) {
    const width = depthFor(dtype, packedBy8);
    if (dtype !== "f32" && packedBy8 % 8 !== 0) continue;
    gpuTest(`embedding [${rows}, ${width}] ${dtype} copies the rows of its ids (${why})`, async (gpu) => {
      const vocabulary = 11;
      const stored = packed(noise(vocabulary * width, 1), dtype, width);
      const ids = noiseIndices(rows, vocabulary, 2);
      const tensors = {
        ids: gpu.upload("ids", ids),
        weight: uploadPacked(gpu, "weight", stored, dtype, [vocabulary, width]),
        y: gpu.upload("y", noise(rows * width, 3), [rows, width]),
      };
      gpu.run(embedding, { params: { rows, width, vocabulary, first: 0 }, buffers: tensors });
      assertClose(await gpu.readF32(tensors.y), gatherRows(stored.values, ids, width), EXACT, [rows, width]);
      gpu.free(...Object.values(tensors));
    });
  }
}

gpuTest("embedding of the parts of a matrix, one after the other, is that of the whole", async (gpu) => {
  const rows = 40, width = 8, vocabulary = 11;
  const values = noise(vocabulary * width, 1), ids = noiseIndices(rows, vocabulary, 2);
  const idsTensor = gpu.upload("ids", ids), y = gpu.upload("y", noise(rows * width, 3), [rows, width]);
  for (const [first, end] of [[0, 4], [4, 5], [5, 11]]) {
    const weight = gpu.upload("part", values.slice(first * width, end * width), [end - first, width]);
    const params = { rows, width, vocabulary: end - first, first };
    gpu.run(embedding, { params, buffers: { ids: idsTensor, weight, y } });
    gpu.free(weight);
  }
  assertClose(await gpu.readF32(y), gatherRows(values, ids, width), EXACT, [rows, width]);
  gpu.free(idsTensor, y);
});
