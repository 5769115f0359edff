import broadcast from "./matmul.broadcast.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import tiled from "./matmul.tiled.wgsl" with { type: "text" };

/** `y = x Wᵀ + lora_scale · z Bᵀ + residual`, the product of every linear layer. */
export const matmul: Kernel<
  | "rows"
  | "columns"
  | "depth"
  | "rank"
  | "lora_rows"
  | "lora_scale"
  | "add_residual"
  | "y_stride"
  | "y_first",
  "x" | "weight" | "z" | "lora_b" | "residual" | "y",
  "row_tile" | "column_tile"
> = defineKernel({
  name: "matmul",
  source: {
    cpu: { file: "kernels/matmul.broadcast.wgsl", text: broadcast },
    gpu: { file: "kernels/matmul.tiled.wgsl", text: tiled },
  },
  uses: ["lanes", "weights"],
  params: {
    rows: "u32",
    columns: "u32",
    depth: "u32",
    rank: "u32",
    lora_rows: "u32",
    lora_scale: "f32",
    add_residual: "u32",
    y_stride: "u32",
    y_first: "u32",
  },
  buffers: { x: "read", weight: "read", z: "read", lora_b: "read", residual: "read", y: "read_write" },
  packed: "weight",
  constants: { cpu: { row_tile: 16, column_tile: 32 }, gpu: { row_tile: 64, column_tile: 64 } },
  shapes: ({ rows, columns, depth, rank, lora_rows, add_residual, y_stride }) => ({
    x: [rows, depth],
    weight: [columns, depth],
    z: [lora_rows, rank],
    lora_b: [columns, rank],
    residual: [add_residual * rows, y_stride],
    y: [rows, y_stride],
  }),
  workgroups: ({ rows, columns }, { row_tile, column_tile }) => [
    tiles(rows, row_tile),
    tiles(columns, column_tile),
    1,
  ],
});
