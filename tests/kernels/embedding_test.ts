import { embedding } from "../../kernels/embedding.ts";
import type { DType } from "../../kernels/tensor.ts";
import { assertClose } from "../close.ts";
import { gatherRows } from "../reference/rows.ts";
import { gpuTest, noise, noiseIndices, packed, uploadPacked } from "./_gpu.ts";

// Values are copied, so the smallest difference is too large.
const EXACT = { absolute: Number.MIN_VALUE, relative: 0 };

for (
  const { rows, width, why } of [
    { rows: 0, width: 8, why: "no rows" },
    { rows: 1, width: 8, why: "one row, one pack" },
    { rows: 3, width: 252, why: "one f32 pack short of a workgroup" },
    { rows: 3, width: 256, why: "a workgroup of f32 packs" },
    { rows: 3, width: 260, why: "one f32 pack past a workgroup" },
    { rows: 65, width: 504, why: "one 16-bit pack short of a workgroup, more rows than invocations" },
    { rows: 3, width: 512, why: "a workgroup of 16-bit packs" },
    { rows: 3, width: 520, why: "one 16-bit pack past a workgroup" },
  ]
) {
  for (const dtype of ["f32", "f16", "bf16"] satisfies DType[]) {
    if (dtype !== "f32" && width % 8 !== 0) continue;
    gpuTest(`embedding [${rows}, ${width}] ${dtype} copies the rows of its ids (${why})`, async (gpu) => {
      const vocabulary = 11;
      const { values, words } = packed(noise(vocabulary * width, 1), dtype);
      const ids = noiseIndices(rows, vocabulary, 2);
      const tensors = {
        ids: gpu.upload("ids", ids),
        weight: uploadPacked(gpu, "weight", words, dtype, [vocabulary, width]),
        y: gpu.upload("y", noise(rows * width, 3), [rows, width]),
      };
      gpu.run(embedding, { params: { rows, width, vocabulary, first: 0 }, buffers: tensors });
      assertClose(await gpu.readF32(tensors.y), gatherRows(values, ids, width), EXACT, [rows, width]);
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
