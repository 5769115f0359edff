import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./relu.wgsl" with { type: "text" };

/** Sets what is below 0 to 0, in place. */
export const relu: Kernel<"rows" | "width", "y"> = defineKernel({
  name: "relu",
  source: { file: "kernels/relu.wgsl", text: source },
  params: { rows: "u32", width: "u32" },
  buffers: { y: "read_write" },
  shapes: ({ rows, width }) => ({ y: [rows, width] }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
