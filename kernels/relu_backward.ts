import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./relu_backward.wgsl" with { type: "text" };

/** The gradient of `relu` for its input, in place of that for its output. */
export const reluBackward: Kernel<"rows" | "width", "y" | "dy"> = defineKernel({
  name: "relu_backward",
  source: { file: "kernels/relu_backward.wgsl", text: source },
  params: { rows: "u32", width: "u32" },
  buffers: { y: "read", dy: "read_write" },
  shapes: ({ rows, width }) => ({ y: [rows, width], dy: [rows, width] }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
