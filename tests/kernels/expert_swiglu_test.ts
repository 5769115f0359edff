import { expertSwiglu } from "../../kernels/expert_swiglu.ts";
import { assertClose } from "../close.ts";
import { expertSwiglu as reference } from "../reference/experts.ts";
import { routed } from "./_expert_cases.ts";
import { gpuTest, noise } from "./_gpu.ts";

// WGSL allows exp(x) 3 + 2 |x| ULP, here multiplied by values up to 8.
const TOLERANCE = { absolute: 2e-6, relative: 4e-6 };

for (
  const { tokens, width, scale, why } of [
    { tokens: 0, width: 8, scale: 1, why: "no tokens" },
    { tokens: 1, width: 4, scale: 1, why: "one token, one vector" },
    { tokens: 3, width: 252, scale: 8, why: "a vector short of a workgroup" },
    { tokens: 3, width: 256, scale: 8, why: "a workgroup of vectors" },
    { tokens: 33, width: 260, scale: 8, why: "a vector past a workgroup" },
    { tokens: 2, width: 64, scale: 1e4, why: "gates whose exponential overflows f32" },
  ]
) {
  gpuTest(
    `expert_swiglu [${tokens} x 2, ${width}] of values up to ${scale} matches the reference (${why})`,
    async (gpu) => {
      const slots = 2 * tokens;
      const { routing } = routed({ tokens, count: 4, perToken: 2, why });
      const gateUp = noise(slots * 2 * width, 1).map((value) => value * scale);
      const tensors = {
        choices: gpu.upload("choices", Uint32Array.from(routing.choices)),
        weights: gpu.upload("weights", Float32Array.from(routing.weights)),
        gate_up: gpu.upload("gate_up", gateUp, [slots, 2 * width]),
        y: gpu.upload("y", noise(slots * width, 2), [slots, width]),
      };
      gpu.run(expertSwiglu, { params: { slots, width }, buffers: tensors });
      const expected = reference(gateUp, routing.weights, routing.choices, width);
      assertClose(await gpu.readF32(tensors.y), expected, TOLERANCE, [slots, width]);
      gpu.free(...Object.values(tensors));
    },
  );
}
