import type { matmul } from "../../kernels/matmul.ts";
import type { DType } from "../../kernels/tensor.ts";
import { assertClose } from "../close.ts";
import { matmul as reference } from "../reference/matmul.ts";
import { depthFor, gpuTest, noise, packed, uploadPacked, WEIGHT_TYPES, wideGpuTest } from "./_gpu.ts";

/** Sums of up to 528 products of values up to 1, in f32. */
const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

/** One shape, and the boundary it stands at. */
export interface ProductCase {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly why: string;
  /** At the boundary of 32 lanes, where 16-bit and quantised weights are read. */
  readonly wide?: boolean;
}

/** The tests that `matmul` and `matmul_skinny` share: plain products of every weight type, and all extras at once. */
export function testProduct(
  kernel: typeof matmul,
  cases: readonly ProductCase[],
  constants: { readonly row_tile?: number } = {},
): void {
  const variant = Object.entries(constants).map(([name, value]) => ` ${name}=${value}`).join("");
  for (const { rows, columns, depth: packedBy8, why, wide } of cases) {
    for (const dtype of WEIGHT_TYPES) {
      const depth = depthFor(dtype, packedBy8);
      const shapes = `[${rows}, ${depth}] x [${columns}, ${depth}] ${dtype}${variant}`;
      const test = wide && (dtype === "bf16" || dtype === "int4") ? wideGpuTest : gpuTest;
      test(`${kernel.name} ${shapes} matches the reference (${why})`, async (gpu) => {
        const x = noise(rows * depth, 1);
        const stored = packed(noise(columns * depth, 2), dtype, depth);
        const tensors = {
          x: gpu.upload("x", x, [rows, depth]),
          weight: uploadPacked(gpu, "weight", stored, dtype, [columns, depth]),
          z: gpu.tensor("none", "f32", [0]),
          y: gpu.tensor("y", "f32", [rows, columns]),
        };
        gpu.run(kernel, {
          params: {
            rows,
            columns,
            depth,
            rank: 0,
            lora_rows: 0,
            lora_scale: 0,
            add_residual: 0,
            y_stride: columns,
            y_first: 0,
          },
          buffers: { ...tensors, lora_b: tensors.z, residual: tensors.z },
          constants,
        });
        const expected = reference(x, stored.values, { rows, columns, depth });
        assertClose(await gpu.readF32(tensors.y), expected, TOLERANCE, [rows, columns]);
        gpu.free(...Object.values(tensors));
      });
    }
  }
}

/**
 * LoRA on some of the rows, a residual on all of them, written into part of a wider row; of weights with a scale for
 * each row too, because it must not reach the extras.
 */
export function testProductExtras(kernel: typeof matmul, rows: number, adapted: number): void {
  for (const dtype of ["f32", "int8"] as const) testExtras(kernel, rows, adapted, dtype);
}

function testExtras(kernel: typeof matmul, rows: number, adapted: number, dtype: DType): void {
  const name =
    `${kernel.name} adds the LoRA product to ${adapted} of ${rows} rows, the residual to all, in a wider row, ${dtype}`;
  gpuTest(name, async (gpu) => {
    const columns = 24, depth = 16, rank = 8, stride = 40, first = 8, scale = 0.5;
    const x = noise(rows * depth, 1), weight = packed(noise(columns * depth, 2), dtype, depth);
    const z = noise(adapted * rank, 3), loraB = noise(columns * rank, 4);
    const residual = noise(rows * stride, 5), before = noise(rows * stride, 6);
    const tensors = {
      x: gpu.upload("x", x, [rows, depth]),
      weight: uploadPacked(gpu, "weight", weight, dtype, [columns, depth]),
      z: gpu.upload("z", z, [adapted, rank]),
      lora_b: gpu.upload("lora_b", loraB, [columns, rank]),
      residual: gpu.upload("residual", residual, [rows, stride]),
      y: gpu.upload("y", before, [rows, stride]),
    };
    gpu.run(kernel, {
      params: {
        rows,
        columns,
        depth,
        rank,
        lora_rows: adapted,
        lora_scale: scale,
        add_residual: 1,
        y_stride: stride,
        y_first: first,
      },
      buffers: tensors,
    });
    const base = reference(x, weight.values, { rows, columns, depth });
    const lora = reference(z, loraB, { rows: adapted, columns, depth: rank });
    const expected = Float64Array.from(before, (value, index) => {
      const row = Math.floor(index / stride), column = index % stride - first;
      if (column < 0 || column >= columns) return value;
      const add = row < adapted ? scale * lora[row * columns + column] : 0;
      return base[row * columns + column] + add + residual[index];
    });
    assertClose(await gpu.readF32(tensors.y), expected, TOLERANCE, [rows, stride]);
    gpu.free(...Object.values(tensors));
  });
}
