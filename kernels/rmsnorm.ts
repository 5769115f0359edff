import { defineKernel, type Kernel } from "./kernel.ts";
import source from "./rmsnorm.wgsl" with { type: "text" };

/** `y = x · weight / √(mean x² + eps)`, row by row. */
export const rmsnorm: Kernel<"rows" | "width" | "eps", "x" | "weight" | "y"> = defineKernel({
  name: "rmsnorm",
  source: { file: "kernels/rmsnorm.wgsl", text: source },
  uses: ["lanes"],
  params: { rows: "u32", width: "u32", eps: "f32" },
  buffers: { x: "read", weight: "read", y: "read_write" },
  shapes: ({ rows, width }) => ({ x: [rows, width], weight: [width], y: [rows, width] }),
  workgroups: ({ rows }) => [rows, 1, 1],
});
