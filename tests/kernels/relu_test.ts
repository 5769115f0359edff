import { assertEquals } from "@std/assert";
import { relu } from "../../kernels/relu.ts";
import { relu as reference } from "../reference/classifier.ts";
import { gpuTest, noise } from "./_gpu.ts";

for (
  const { rows, width, why } of [
    { rows: 0, width: 8, why: "no rows" },
    { rows: 1, width: 4, why: "one row, one vector" },
    { rows: 3, width: 252, why: "a vector short of a workgroup" },
    { rows: 3, width: 256, why: "a workgroup of vectors" },
    { rows: 65, width: 260, why: "a vector past a workgroup" },
  ]
) {
  gpuTest(`relu [${rows}, ${width}] matches the reference (${why})`, async (gpu) => {
    const x = noise(rows * width, 1);
    const y = gpu.upload("y", x, [rows, width]);
    gpu.run(relu, { params: { rows, width }, buffers: { y } });
    assertEquals(await gpu.readF32(y), Float32Array.from(reference(x)));
    gpu.free(y);
  });
}

gpuTest("relu keeps what is not a number, so that a diverged training shows", async (gpu) => {
  const y = gpu.upload("y", Float32Array.of(NaN, -1, 0, Infinity), [1, 4]);
  gpu.run(relu, { params: { rows: 1, width: 4 }, buffers: { y } });
  assertEquals([...await gpu.readF32(y)], [NaN, 0, 0, Infinity]);
  gpu.free(y);
});
