import { loraGradient } from "../../kernels/lora_gradient.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { loraGradient as reference } from "../reference/lora.ts";
import { matmul } from "../reference/matmul.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

for (
  const { rows, wide, narrow, splits, lanes, why } of [
    { rows: 0, wide: 8, narrow: 4, splits: 1, why: "no rows" },
    { rows: 1, wide: 4, narrow: 4, splits: 1, why: "one row, one vector each way" },
    { rows: 7, wide: 32, narrow: 8, splits: 1, why: "one row short of a block" },
    { rows: 8, wide: 28, narrow: 8, splits: 2, why: "more splits than blocks" },
    { rows: 9, wide: 36, narrow: 12, splits: 2, why: "one past a block and a tile" },
    {
      rows: 100,
      wide: 132,
      narrow: 16,
      splits: 3,
      lanes: 32,
      why: "several tiles and splits, also of 32 lanes",
    },
  ]
) {
  const test = lanes === 32 ? wideGpuTest : gpuTest;
  test(`lora_gradient of ${rows} rows, ${wide} x ${narrow} in ${splits} splits (${why})`, async (gpu) => {
    const wideStride = wide + 8, narrowStride = narrow + 4, first = 3, stride = first + wide * narrow + 5;
    const w = noise(rows * wideStride, 1),
      n = noise(rows * narrowStride, 2),
      before = noise(splits * stride, 3);
    const tensors = {
      wide: gpu.upload("wide", w, [rows, wideStride]),
      narrow: gpu.upload("narrow", n, [rows, narrowStride]),
      gradient: gpu.upload("gradient", before, [splits, stride]),
    };
    const shape = { rows, wide, wideStride, wideFirst: 4, narrow, narrowStride, narrowFirst: 4 };
    gpu.run(loraGradient, {
      params: {
        rows,
        wide_count: wide,
        wide_stride: wideStride,
        wide_first: 4,
        narrow_count: narrow,
        narrow_stride: narrowStride,
        narrow_first: 4,
        first,
        wide_step: 1,
        narrow_step: wide,
        gradient_stride: stride,
        splits,
        scale: 0.5,
      },
      buffers: tensors,
    });
    const after = await gpu.readF32(tensors.gradient);
    const expected = reference(w, n, shape);
    const sum = new Float64Array(stride);
    for (let s = 0; s < splits; s++) {
      for (let i = 0; i < stride; i++) sum[i] += after[s * stride + i] - before[s * stride + i];
    }
    const layout = new Float64Array(stride);
    for (let i = 0; i < wide; i++) {
      for (let j = 0; j < narrow; j++) layout[first + j * wide + i] = 0.5 * expected[i * narrow + j];
    }
    assertClose(sum, layout, TOLERANCE);
    gpu.free(...Object.values(tensors));
  });
}

Deno.test("the reference of lora_gradient is the derivative of y = x Aᵀ for A", () => {
  const rows = 5, depth = 8, columns = 4;
  const x = noise(rows * depth, 1), a = noise(columns * depth, 2), dy = noise(rows * columns, 3);
  const loss = (a: ArrayLike<number>) => inner(dy, matmul(x, a, { rows, columns, depth }));
  const gradient = reference(x, dy, {
    rows,
    wide: depth,
    wideStride: depth,
    wideFirst: 0,
    narrow: columns,
    narrowStride: columns,
    narrowFirst: 0,
  });
  const transposed = Float64Array.from(
    gradient,
    (_, i) => gradient[(i % depth) * columns + Math.floor(i / depth)],
  );
  assertClose(transposed, centralDifferences(loss, a), { absolute: 1e-8, relative: 1e-7 });
});
