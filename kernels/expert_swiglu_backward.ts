import source from "./expert_swiglu_backward.wgsl" with { type: "text" };
import { defineKernel, type Kernel } from "./kernel.ts";

/** The gradient of `expert_swiglu` for gate and up, and for the weights, of the first choices. */
export const expertSwigluBackward: Kernel<
  "count" | "rows" | "width",
  "slots" | "weights" | "gate_up" | "dy" | "dgate_up" | "dweights"
> = defineKernel({
  name: "expert_swiglu_backward",
  source: { file: "kernels/expert_swiglu_backward.wgsl", text: source },
  uses: ["lanes"],
  params: { count: "u32", rows: "u32", width: "u32" },
  buffers: {
    slots: "read",
    weights: "read",
    gate_up: "read",
    dy: "read",
    dgate_up: "read_write",
    dweights: "read_write",
  },
  shapes: ({ count, rows, width }) => ({
    slots: [count],
    weights: [count],
    gate_up: [rows, 2 * width],
    dy: [rows, width],
    dgate_up: [rows, 2 * width],
    dweights: [count],
  }),
  workgroups: ({ count }) => [count, 1, 1],
});
