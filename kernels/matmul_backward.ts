import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import broadcast from "./matmul_backward.broadcast.wgsl" with { type: "text" };
import tiled from "./matmul_backward.tiled.wgsl" with { type: "text" };

/**
 * `dx = scale · dy W`, the gradient of a linear layer for its input.
 * `weight` is read in the orientation of the forward pass; a frozen weight needs no gradient of its own.
 */
export const matmulBackward: Kernel<
  "rows" | "columns" | "depth" | "dy_stride" | "dy_first" | "scale" | "accumulate",
  "dy" | "weight" | "dx",
  "row_tile" | "depth_tile"
> = defineKernel({
  name: "matmul_backward",
  source: {
    cpu: { file: "kernels/matmul_backward.broadcast.wgsl", text: broadcast },
    gpu: { file: "kernels/matmul_backward.tiled.wgsl", text: tiled },
  },
  uses: ["lanes", "weights"],
  params: {
    rows: "u32",
    columns: "u32",
    depth: "u32",
    dy_stride: "u32",
    dy_first: "u32",
    scale: "f32",
    accumulate: "u32",
  },
  buffers: { dy: "read", weight: "read", dx: "read_write" },
  packed: "weight",
  constants: { cpu: { row_tile: 16, depth_tile: 128 }, gpu: { row_tile: 64, depth_tile: 64 } },
  shapes: ({ rows, columns, depth, dy_stride }) => ({
    dy: [rows, dy_stride],
    weight: [columns, depth],
    dx: [rows, depth],
  }),
  workgroups: (
    { rows, depth },
    { row_tile, depth_tile },
  ) => [tiles(rows, row_tile), tiles(depth, depth_tile), 1],
});
