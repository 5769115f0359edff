import { swiglu } from "../../kernels/swiglu.ts";
import { assertClose } from "../close.ts";
import { swiglu as reference } from "../reference/swiglu.ts";
import { gpuTest, noise } from "./_gpu.ts";

// WGSL allows exp(x) 3 + 2 |x| ULP; where that grows the value itself has become small.
const TOLERANCE = { absolute: 2e-6, relative: 4e-6 };

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
  gpuTest(
    `swiglu [${rows}, ${width}] of values up to ${scale} matches the reference (${why})`,
    async (gpu) => {
      const gateUp = noise(rows * 2 * width, 1).map((value) => value * scale);
      const tensors = {
        gate_up: gpu.upload("gate_up", gateUp, [rows, 2 * width]),
        y: gpu.upload("y", noise(rows * width, 2), [rows, width]),
      };
      gpu.run(swiglu, { params: { rows, width }, buffers: tensors });
      assertClose(await gpu.readF32(tensors.y), reference(gateUp, width), TOLERANCE, [rows, width]);
      gpu.free(...Object.values(tensors));
    },
  );
}
