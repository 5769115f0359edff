import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./swiglu.wgsl" with { type: "text" };

/** `y = silu(gate) · up`, with gate and up side by side in each row, gate first. */
export const swiglu: Kernel<"rows" | "width", "gate_up" | "y"> = defineKernel({
  name: "swiglu",
  source: { file: "kernels/swiglu.wgsl", text: source },
  params: { rows: "u32", width: "u32" },
  buffers: { gate_up: "read", y: "read_write" },
  shapes: ({ rows, width }) => ({ gate_up: [rows, 2 * width], y: [rows, width] }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
