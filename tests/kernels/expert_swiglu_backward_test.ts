import { expertSwigluBackward } from "../../kernels/expert_swiglu_backward.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { expertSwiglu, expertSwigluBackward as reference } from "../reference/experts.ts";
import { routed } from "./_expert_cases.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// WGSL allows exp(x) 3 + 2 |x| ULP, here multiplied by values up to the square of 8.
const TOLERANCE = { absolute: 1e-5, relative: 4e-6 };
// Sums of up to 260 such products, each within those bounds.
const WEIGHTS = { absolute: 1e-4, relative: 1e-5 };
// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-8, relative: 1e-8 };

Deno.test("the reference of expert_swiglu_backward is the gradient of expert_swiglu for both its inputs", () => {
  const tokens = 3, width = 4;
  const { routing } = routed({ tokens, count: 4, perToken: 2, why: "" });
  const gateUp = noise(2 * tokens * 2 * width, 1).map((value) => value * 4),
    dy = noise(2 * tokens * width, 2);
  const { weights, choices } = routing;
  const { dgateUp, dweights } = reference(gateUp, weights, routing, dy, width);
  const ofGateUp = centralDifferences((at) => inner(expertSwiglu(at, weights, choices, width), dy), gateUp);
  const ofWeights = centralDifferences((at) => inner(expertSwiglu(gateUp, at, choices, width), dy), weights);
  assertClose(dgateUp, ofGateUp, DIFFERENCES, [2 * tokens, 2 * width]);
  assertClose(dweights, ofWeights, DIFFERENCES, [tokens, 2]);
});

for (
  const { tokens, adapted = tokens, width, scale, why, wide } of [
    { tokens: 0, width: 8, scale: 1, why: "no tokens" },
    { tokens: 1, width: 4, scale: 1, why: "one token, one vector" },
    { tokens: 3, width: 28, scale: 8, why: "a vector short of the lanes" },
    { tokens: 3, width: 32, scale: 8, why: "a vector for each lane" },
    { tokens: 33, width: 36, scale: 8, why: "a vector more than lanes" },
    { tokens: 3, width: 124, scale: 8, why: "a vector short of 32 lanes", wide: true },
    { tokens: 3, width: 128, scale: 8, why: "a vector for each of 32 lanes", wide: true },
    { tokens: 3, width: 132, scale: 8, why: "a vector more than 32 lanes", wide: true },
    { tokens: 2, width: 64, scale: 1e4, why: "gates whose exponential overflows f32" },
    { tokens: 9, adapted: 4, width: 16, scale: 8, why: "only tokens with an adapter" },
  ]
) {
  const name = `expert_swiglu_backward [${adapted} of ${tokens} x 2, ${width}] of values up to ${scale}`;
  (wide ? wideGpuTest : gpuTest)(`${name} matches the reference (${why})`, async (gpu) => {
    const rows = 2 * tokens, count = 2 * adapted;
    const { routing } = routed({ tokens, count: 4, perToken: 2, why });
    const ofAdapted = (index: number, columns: number) =>
      routing.choices[Math.floor(index / columns)] < count;
    const gateUp = noise(rows * 2 * width, 1).map((value) => value * scale);
    // What belongs to tokens without an adapter must not be read.
    const dy = noise(rows * width, 2).map((value, index) => ofAdapted(index, width) ? value : NaN);
    const before = noise(rows * 2 * width, 3);
    const tensors = {
      slots: gpu.upload("slots", Uint32Array.from(routing.slots)),
      weights: gpu.upload("weights", Float32Array.from(routing.weights)),
      gate_up: gpu.upload("gate_up", gateUp, [rows, 2 * width]),
      dy: gpu.upload("dy", dy, [rows, width]),
      dgate_up: gpu.upload("dgate_up", before, [rows, 2 * width]),
      dweights: gpu.upload("dweights", noise(count, 4)),
    };
    gpu.run(expertSwigluBackward, { params: { count, rows, width }, buffers: tensors });
    const { dgateUp, dweights } = reference(gateUp, routing.weights, routing, dy, width);
    const expected = dgateUp.map((value, index) => ofAdapted(index, 2 * width) ? value : before[index]);
    assertClose(await gpu.readF32(tensors.dgate_up), expected, TOLERANCE, [rows, 2 * width]);
    assertClose(await gpu.readF32(tensors.dweights), dweights.slice(0, count), {
      ...WEIGHTS,
      // Terms up to the square of the scale nearly cancel.
      absolute: WEIGHTS.absolute * (scale / 8) ** 2 + WEIGHTS.absolute,
    });
    gpu.free(...Object.values(tensors));
  });
}
