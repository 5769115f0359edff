import { attentionDelta } from "../../kernels/attention_delta.ts";
import { assertClose } from "../close.ts";
import { attentionDelta as reference } from "../reference/attention.ts";
import { gpuTest, noise } from "./_gpu.ts";

// Sums of up to 128 products of values up to 1, in f32.
const TOLERANCE = { absolute: 5e-6, relative: 2e-6 };

for (
  const { rows, heads, headDim, why } of [
    { rows: 0, heads: 4, headDim: 8, why: "no rows" },
    { rows: 1, heads: 1, headDim: 4, why: "one row, one head of one vector" },
    { rows: 21, heads: 3, headDim: 32, why: "one invocation short of a workgroup" },
    { rows: 16, heads: 4, headDim: 64, why: "a workgroup" },
    { rows: 13, heads: 5, headDim: 36, why: "one invocation past a workgroup" },
    { rows: 65, heads: 16, headDim: 128, why: "many workgroups" },
  ]
) {
  const name = `attention_delta of ${heads} heads of ${headDim} in ${rows} rows`;
  gpuTest(`${name} matches the reference (${why})`, async (gpu) => {
    const y = noise(rows * heads * headDim, 1), dy = noise(rows * heads * headDim, 2);
    const tensors = {
      y: gpu.upload("y", y, [rows, heads * headDim]),
      dy: gpu.upload("dy", dy, [rows, heads * headDim]),
      delta: gpu.upload("delta", noise(rows * heads, 3), [rows, heads]),
    };
    gpu.run(attentionDelta, { params: { rows, heads, head_dim: headDim }, buffers: tensors });
    assertClose(await gpu.readF32(tensors.delta), reference(y, dy, headDim), TOLERANCE, [rows, heads]);
    gpu.free(...Object.values(tensors));
  });
}
