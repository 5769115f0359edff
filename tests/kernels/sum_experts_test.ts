import { sumExperts } from "../../kernels/sum_experts.ts";
import { assertClose } from "../close.ts";
import { sumExperts as reference } from "../reference/experts.ts";
import { routed } from "./_expert_cases.ts";
import { gpuTest, noise } from "./_gpu.ts";

// Sums of four values up to 1, in f32.
const TOLERANCE = { absolute: 5e-7, relative: 0 };

for (
  const { tokens, perToken, width, why } of [
    { tokens: 0, perToken: 2, width: 8, why: "no tokens" },
    { tokens: 1, perToken: 1, width: 4, why: "one expert, one vector" },
    { tokens: 5, perToken: 2, width: 252, why: "a vector short of a workgroup" },
    { tokens: 5, perToken: 3, width: 256, why: "a workgroup of vectors" },
    { tokens: 40, perToken: 2, width: 260, why: "a vector past a workgroup" },
  ]
) {
  gpuTest(`sum_experts [${tokens} x ${perToken}, ${width}] matches the reference (${why})`, async (gpu) => {
    const rows = tokens * perToken;
    const { routing: { slots } } = routed({ tokens, count: 4, perToken, why });
    const x = noise(rows * width, 1), residual = noise(tokens * width, 2);
    const tensors = {
      slots: gpu.upload("slots", Uint32Array.from(slots), [tokens, perToken]),
      x: gpu.upload("x", x, [rows, width]),
      residual: gpu.upload("residual", residual, [tokens, width]),
      y: gpu.upload("y", noise(tokens * width, 3), [tokens, width]),
    };
    gpu.run(sumExperts, { params: { tokens, per_token: perToken, width, rows }, buffers: tensors });
    const expected = reference(x, residual, slots, { perToken, width });
    assertClose(await gpu.readF32(tensors.y), expected, TOLERANCE, [tokens, width]);
    gpu.free(...Object.values(tensors));
  });
}
