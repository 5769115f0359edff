import { tokenLogitsBackward } from "../../kernels/token_logits_backward.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { tokenLogits, tokenLogitsBackward as reference } from "../reference/token_logits.ts";
import { depthFor, gpuTest, noise, noiseIndices, packed, uploadPacked, WEIGHT_TYPES } from "./_gpu.ts";

// Sums of up to 10 products of values up to 1, in f32.
const TOLERANCE = { absolute: 2e-6, relative: 1e-6 };
// The map is linear, so differences are exact but for rounding in f64.
const DIFFERENCES = { absolute: 1e-9, relative: 0 };

Deno.test("the reference of token_logits_backward is the gradient of token_logits", () => {
  const rows = 2, width = 4, ids = [4, 1, 4];
  const x = noise(rows * width, 1), weight = noise(5 * width, 2), dlogits = noise(rows * 3, 3);
  const forward = (at: Float64Array) => inner(tokenLogits(at, weight, ids, { rows, width }), dlogits);
  const backward = reference(dlogits, weight, ids, { rows, width });
  assertClose(backward, centralDifferences(forward, x), DIFFERENCES, [rows, width]);
});

for (
  const { rows, width: packedBy8, tokens, why } of [
    { rows: 0, width: 8, tokens: 2, why: "no rows" },
    { rows: 2, width: 8, tokens: 0, why: "no tokens" },
    { rows: 1, width: 8, tokens: 1, why: "one row, one token, one pack" },
    { rows: 2, width: 252, tokens: 2, why: "one f32 pack short of a workgroup" },
    { rows: 2, width: 256, tokens: 2, why: "a workgroup of f32 packs" },
    { rows: 2, width: 260, tokens: 2, why: "one f32 pack past a workgroup" },
    { rows: 2, width: 504, tokens: 2, why: "one 16-bit or quantised pack short of a workgroup" },
    { rows: 2, width: 512, tokens: 2, why: "a workgroup of 16-bit or quantised packs" },
    { rows: 65, width: 520, tokens: 9, why: "one 16-bit or quantised pack past a workgroup" },
  ]
) {
  for (const dtype of WEIGHT_TYPES) {
    const width = depthFor(dtype, packedBy8);
    if (dtype !== "f32" && packedBy8 % 8 !== 0) continue;
    const name = `token_logits_backward [${rows}, ${width}] of ${tokens} tokens, ${dtype}`;
    gpuTest(`${name}, adds the reference to dx (${why})`, async (gpu) => {
      const vocabulary = 13;
      const dlogits = noise(rows * tokens, 1), ids = noiseIndices(tokens, vocabulary, 2);
      const stored = packed(noise(vocabulary * width, 3), dtype, width);
      const before = noise(rows * width, 4);
      const tensors = {
        dlogits: gpu.upload("dlogits", dlogits, [rows, tokens]),
        weight: uploadPacked(gpu, "weight", stored, dtype, [vocabulary, width]),
        ids: gpu.upload("ids", ids),
        dx: gpu.upload("dx", before, [rows, width]),
      };
      gpu.run(tokenLogitsBackward, {
        params: { rows, width, tokens, vocabulary, first: 0 },
        buffers: tensors,
      });
      const added = reference(dlogits, stored.values, ids, { rows, width });
      const expected = added.map((value, index) => before[index] + value);
      assertClose(await gpu.readF32(tensors.dx), expected, TOLERANCE, [rows, width]);
      gpu.free(...Object.values(tensors));
    });
  }
}

gpuTest("token_logits_backward of the parts of a matrix adds up to that of the whole", async (gpu) => {
  const rows = 3, width = 16, tokens = 9, vocabulary = 13;
  const dlogits = noise(rows * tokens, 1), ids = noiseIndices(tokens, vocabulary, 2);
  const values = noise(vocabulary * width, 3);
  const shared = {
    dlogits: gpu.upload("dlogits", dlogits, [rows, tokens]),
    ids: gpu.upload("ids", ids),
    dx: gpu.upload("dx", new Float32Array(rows * width), [rows, width]),
  };
  for (const [first, end] of [[0, 4], [4, 5], [5, 13]]) {
    const weight = gpu.upload("part", values.slice(first * width, end * width), [end - first, width]);
    const params = { rows, width, tokens, vocabulary: end - first, first };
    gpu.run(tokenLogitsBackward, { params, buffers: { ...shared, weight } });
    gpu.free(weight);
  }
  const expected = reference(dlogits, values, ids, { rows, width });
  assertClose(await gpu.readF32(shared.dx), expected, TOLERANCE, [rows, width]);
  gpu.free(...Object.values(shared));
});
