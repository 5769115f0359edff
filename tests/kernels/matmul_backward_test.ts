import { matmulBackward } from "../../kernels/matmul_backward.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { matmul, matmulBackward as reference } from "../reference/matmul.ts";
import { depthFor, gpuTest, noise, packed, uploadPacked, WEIGHT_TYPES } from "./_gpu.ts";

const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

for (
  const { rows, columns, depth: packedBy8, why } of [
    { rows: 0, columns: 8, depth: 8, why: "no rows" },
    { rows: 1, columns: 1, depth: 8, why: "one row, one column" },
    { rows: 15, columns: 7, depth: 120, why: "one row and one pack short of a register tile" },
    { rows: 16, columns: 8, depth: 128, why: "exactly a register tile" },
    { rows: 17, columns: 9, depth: 136, why: "one row and one pack past a register tile" },
    {
      rows: 63,
      columns: 15,
      depth: 56,
      why: "one row short of a workgroup tile, one column short of a slab",
    },
    { rows: 64, columns: 16, depth: 64, why: "exactly a workgroup tile and a slab" },
    { rows: 65, columns: 17, depth: 72, why: "one past a workgroup tile and a slab" },
    { rows: 130, columns: 129, depth: 136, why: "several tiles" },
  ]
) {
  for (const dtype of WEIGHT_TYPES) {
    const depth = depthFor(dtype, packedBy8);
    gpuTest(
      `matmul_backward [${rows}, ${columns}] x [${columns}, ${depth}] ${dtype} (${why})`,
      async (gpu) => {
        const stride = Math.ceil(columns / 4) * 4;
        const dy = noise(rows * stride, 1).map((value, index) => index % stride < columns ? value : 0);
        const stored = packed(noise(columns * depth, 2), dtype, depth);
        const tensors = {
          dy: gpu.upload("dy", dy, [rows, stride]),
          weight: uploadPacked(gpu, "weight", stored, dtype, [columns, depth]),
          dx: gpu.tensor("dx", "f32", [rows, depth]),
        };
        gpu.run(matmulBackward, {
          params: { rows, columns, depth, dy_stride: stride, dy_first: 0, scale: 1, accumulate: 0 },
          buffers: tensors,
        });
        const compact = dy.filter((_, index) => index % stride < columns);
        const expected = reference(compact, stored.values, { rows, columns, depth });
        assertClose(await gpu.readF32(tensors.dx), expected, TOLERANCE, [rows, depth]);
        gpu.free(...Object.values(tensors));
      },
    );
  }
}

for (const dtype of ["f32", "int8"] as const) {
  gpuTest(
    `matmul_backward reads some columns of a wider dy, scales, and adds to what is there, ${dtype}`,
    async (gpu) => {
      const rows = 9, columns = 12, depth = 16, stride = 24, first = 8, scale = 0.25;
      const dy = noise(rows * stride, 1), before = noise(rows * depth, 3);
      const weight = packed(noise(columns * depth, 2), dtype, depth);
      const tensors = {
        dy: gpu.upload("dy", dy, [rows, stride]),
        weight: uploadPacked(gpu, "weight", weight, dtype, [columns, depth]),
        dx: gpu.upload("dx", before, [rows, depth]),
      };
      gpu.run(matmulBackward, {
        params: { rows, columns, depth, dy_stride: stride, dy_first: first, scale, accumulate: 1 },
        buffers: tensors,
      });
      const part = dy.filter((_, index) => index % stride >= first && index % stride < first + columns);
      const product = reference(part, weight.values, { rows, columns, depth });
      const expected = product.map((value, index) => before[index] + scale * value);
      assertClose(await gpu.readF32(tensors.dx), expected, TOLERANCE, [rows, depth]);
      gpu.free(...Object.values(tensors));
    },
  );
}

gpuTest("matmul_backward is right where a pack for each lane is more than a tile is deep", async (gpu) => {
  const rows = 3, columns = 4, depth = 144;
  const dy = noise(rows * columns, 1), weight = packed(noise(columns * depth, 2), "int8", depth);
  const tensors = {
    dy: gpu.upload("dy", dy, [rows, columns]),
    weight: uploadPacked(gpu, "weight", weight, "int8", [columns, depth]),
    dx: gpu.tensor("dx", "f32", [rows, depth]),
  };
  gpu.run(matmulBackward, {
    params: { rows, columns, depth, dy_stride: columns, dy_first: 0, scale: 1, accumulate: 0 },
    buffers: tensors,
    constants: { depth_tile: 64 },
  });
  const expected = reference(dy, weight.values, { rows, columns, depth });
  assertClose(await gpu.readF32(tensors.dx), expected, TOLERANCE, [rows, depth]);
  gpu.free(...Object.values(tensors));
});

Deno.test("the reference of matmul_backward is the derivative of the reference of matmul", () => {
  const shape = { rows: 3, columns: 5, depth: 8 };
  const x = noise(3 * 8, 1), weight = noise(5 * 8, 2), dy = noise(3 * 5, 3);
  const numeric = centralDifferences((x) => inner(dy, matmul(x, weight, shape)), x);
  assertClose(reference(dy, weight, shape), numeric, { absolute: 1e-8, relative: 1e-7 });
});
