import { assertEquals } from "@std/assert";
import { reluBackward } from "../../kernels/relu_backward.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { relu, reluBackward as reference } from "../reference/classifier.ts";
import { gpuTest, noise } from "./_gpu.ts";

// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-8, relative: 1e-8 };

Deno.test("the reference of relu_backward is the gradient of relu", () => {
  const x = noise(32, 1), dy = noise(32, 2);
  const gradient = centralDifferences((at) => inner(relu(at), dy), x);
  assertClose(reference(relu(x), dy), gradient, DIFFERENCES);
});

for (
  const { rows, width, why } of [
    { rows: 0, width: 8, why: "no rows" },
    { rows: 1, width: 4, why: "one row, one vector" },
    { rows: 3, width: 252, why: "a vector short of a workgroup" },
    { rows: 3, width: 256, why: "a workgroup of vectors" },
    { rows: 65, width: 260, why: "a vector past a workgroup" },
  ]
) {
  gpuTest(`relu_backward [${rows}, ${width}] matches the reference, 0 at 0 (${why})`, async (gpu) => {
    const y = Float32Array.from(relu(noise(rows * width, 1))), dy = noise(rows * width, 2);
    const tensors = { y: gpu.upload("y", y, [rows, width]), dy: gpu.upload("dy", dy, [rows, width]) };
    gpu.run(reluBackward, { params: { rows, width }, buffers: tensors });
    assertEquals(await gpu.readF32(tensors.dy), Float32Array.from(reference(y, dy)));
    gpu.free(...Object.values(tensors));
  });
}
