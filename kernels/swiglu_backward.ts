import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./swiglu_backward.wgsl" with { type: "text" };

/** The gradient of `swiglu` for gate and up, side by side as they came. */
export const swigluBackward: Kernel<"rows" | "width", "gate_up" | "dy" | "dgate_up"> = defineKernel({
  name: "swiglu_backward",
  source: { file: "kernels/swiglu_backward.wgsl", text: source },
  params: { rows: "u32", width: "u32" },
  buffers: { gate_up: "read", dy: "read", dgate_up: "read_write" },
  shapes: ({ rows, width }) => ({
    gate_up: [rows, 2 * width],
    dy: [rows, width],
    dgate_up: [rows, 2 * width],
  }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
