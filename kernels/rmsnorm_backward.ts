import { defineKernel, type Kernel } from "./kernel.ts";
import source from "./rmsnorm_backward.wgsl" with { type: "text" };

/** Adds the gradient of `rmsnorm` for `x` to `dx`. The weight is frozen and gets none. */
export const rmsnormBackward: Kernel<"rows" | "width" | "eps", "x" | "weight" | "dy" | "dx"> = defineKernel({
  name: "rmsnorm_backward",
  source: { file: "kernels/rmsnorm_backward.wgsl", text: source },
  uses: ["lanes"],
  params: { rows: "u32", width: "u32", eps: "f32" },
  buffers: { x: "read", weight: "read", dy: "read", dx: "read_write" },
  shapes: ({ rows, width }) => ({
    x: [rows, width],
    weight: [width],
    dy: [rows, width],
    dx: [rows, width],
  }),
  workgroups: ({ rows }) => [rows, 1, 1],
});
