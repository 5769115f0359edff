import { swigluBackward } from "../../kernels/swiglu_backward.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { swiglu, swigluBackward as reference } from "../reference/swiglu.ts";
import { gpuTest, noise } from "./_gpu.ts";

// WGSL allows exp(x) 3 + 2 |x| ULP, here multiplied by values up to the square of 8.
const TOLERANCE = { absolute: 1e-5, relative: 4e-6 };
// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-8, relative: 1e-8 };

Deno.test("the reference of swiglu_backward is the gradient of swiglu", () => {
  const rows = 2, width = 8;
  const gateUp = noise(rows * 2 * width, 1).map((value) => value * 4), dy = noise(rows * width, 2);
  const gradient = centralDifferences((at) => inner(swiglu(at, width), dy), gateUp);
  assertClose(reference(gateUp, dy, width), gradient, DIFFERENCES, [rows, 2 * width]);
});

for (
  const { rows, width, scale, why } of [
    { rows: 0, width: 8, scale: 1, why: "no rows" },
    { rows: 1, width: 4, scale: 1, why: "one row, one vector" },
    { rows: 3, width: 252, scale: 8, why: "a vector short of a workgroup" },
    { rows: 3, width: 256, scale: 8, why: "a workgroup of vectors" },
    { rows: 65, width: 260, scale: 8, why: "a vector past a workgroup" },
    { rows: 2, width: 64, scale: 1e4, why: "gates whose exponential overflows f32" },
  ]
) {
  const name = `swiglu_backward [${rows}, ${width}] of values up to ${scale}`;
  gpuTest(`${name} matches the reference (${why})`, async (gpu) => {
    const gateUp = noise(rows * 2 * width, 1).map((value) => value * scale), dy = noise(rows * width, 2);
    const tensors = {
      gate_up: gpu.upload("gate_up", gateUp, [rows, 2 * width]),
      dy: gpu.upload("dy", dy, [rows, width]),
      dgate_up: gpu.upload("dgate_up", noise(rows * 2 * width, 3), [rows, 2 * width]),
    };
    gpu.run(swigluBackward, { params: { rows, width }, buffers: tensors });
    const expected = reference(gateUp, dy, width);
    assertClose(await gpu.readF32(tensors.dgate_up), expected, TOLERANCE, [rows, 2 * width]);
    gpu.free(...Object.values(tensors));
  });
}
