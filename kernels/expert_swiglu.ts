import source from "./expert_swiglu.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** `y = weight · silu(gate) · up` of each slot, with gate and up side by side in each row, gate first. */
export const expertSwiglu: Kernel<"slots" | "width", "choices" | "weights" | "gate_up" | "y"> = defineKernel({
  name: "expert_swiglu",
  source: { file: "kernels/expert_swiglu.wgsl", text: source },
  params: { slots: "u32", width: "u32" },
  buffers: { choices: "read", weights: "read", gate_up: "read", y: "read_write" },
  shapes: ({ slots, width }) => ({
    choices: [slots],
    weights: [slots],
    gate_up: [slots, 2 * width],
    y: [slots, width],
  }),
  workgroups: ({ slots, width }) => [tiles(width, 4 * 64), slots, 1],
});
