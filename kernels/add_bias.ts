import source from "./add_bias.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** Adds a bias to some columns of every row, in place. It is frozen, so nothing goes back through it. */
export const addBias: Kernel<"rows" | "columns" | "stride" | "first" | "scale", "bias" | "y"> = defineKernel({
  name: "add_bias",
  source: { file: "kernels/add_bias.wgsl", text: source },
  params: { rows: "u32", columns: "u32", stride: "u32", first: "u32", scale: "f32" },
  buffers: { bias: "read", y: "read_write" },
  shapes: ({ rows, columns, stride }) => ({ bias: [columns], y: [rows, stride] }),
  workgroups: ({ rows, columns }) => [tiles(columns, 64), rows, 1],
});
