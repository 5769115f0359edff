import { tokenLogits } from "../../kernels/token_logits.ts";
import { assertClose } from "../close.ts";
import { tokenLogits as reference } from "../reference/token_logits.ts";
import {
  depthFor,
  gpuTest,
  noise,
  noiseIndices,
  packed,
  uploadPacked,
  WEIGHT_TYPES,
  wideGpuTest,
} from "./_gpu.ts";

// Sums of up to 528 products of values up to 1, in f32.
const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

for (
  const { rows, width: packedBy8, tokens, wide, why } of [
    { rows: 0, width: 8, tokens: 2, why: "no rows" },
    { rows: 3, width: 8, tokens: 0, why: "no tokens" },
    { rows: 1, width: 8, tokens: 1, why: "one row, one token, one pack" },
    { rows: 2, width: 56, tokens: 2, why: "a 16-bit or quantised pack short of 8 lanes" },
    { rows: 2, width: 64, tokens: 2, why: "a 16-bit or quantised pack for each of 8 lanes" },
    { rows: 5, width: 72, tokens: 3, why: "a 16-bit or quantised pack past 8 lanes" },
    { rows: 65, width: 264, tokens: 9, wide: true, why: "a 16-bit or quantised pack past 32 lanes" },
  ]
) {
  for (const dtype of WEIGHT_TYPES) {
    const width = depthFor(dtype, packedBy8);
    const name = `token_logits [${rows}, ${width}] of ${tokens} tokens, ${dtype}`;
    const test = wide ? wideGpuTest : gpuTest;
    test(`${name}, matches the reference (${why})`, async (gpu) => {
      const vocabulary = 13;
      const x = noise(rows * width, 1), ids = noiseIndices(tokens, vocabulary, 2);
      const stored = packed(noise(vocabulary * width, 3), dtype, width);
      const tensors = {
        x: gpu.upload("x", x, [rows, width]),
        weight: uploadPacked(gpu, "weight", stored, dtype, [vocabulary, width]),
        ids: gpu.upload("ids", ids),
        logits: gpu.upload("logits", noise(rows * tokens, 4), [rows, tokens]),
      };
      gpu.run(tokenLogits, { params: { rows, width, tokens, vocabulary, first: 0 }, buffers: tensors });
      const expected = reference(x, stored.values, ids, { rows, width });
      assertClose(await gpu.readF32(tensors.logits), expected, TOLERANCE, [rows, tokens]);
      gpu.free(...Object.values(tensors));
    });
  }
}

gpuTest("token_logits of the parts of a matrix, one after the other, are those of the whole", async (gpu) => {
  const rows = 3, width = 16, tokens = 9, vocabulary = 13;
  const x = noise(rows * width, 1), ids = noiseIndices(tokens, vocabulary, 2);
  const values = noise(vocabulary * width, 3);
  const shared = {
    x: gpu.upload("x", x, [rows, width]),
    ids: gpu.upload("ids", ids),
    logits: gpu.upload("logits", noise(rows * tokens, 4), [rows, tokens]),
  };
  for (const [first, end] of [[0, 4], [4, 5], [5, 13]]) {
    const weight = gpu.upload("part", values.slice(first * width, end * width), [end - first, width]);
    const params = { rows, width, tokens, vocabulary: end - first, first };
    gpu.run(tokenLogits, { params, buffers: { ...shared, weight } });
    gpu.free(weight);
  }
  const expected = reference(x, values, ids, { rows, width });
  assertClose(await gpu.readF32(shared.logits), expected, TOLERANCE, [rows, tokens]);
  gpu.free(...Object.values(shared));
});
