import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./sum_experts.wgsl" with { type: "text" };

/** `y[t] = residual[t] + Σ_j x[slots[t, j]]`: what the experts of a token give, forward and backward. */
export const sumExperts: Kernel<
  "tokens" | "per_token" | "width" | "rows",
  "slots" | "x" | "residual" | "y"
> = defineKernel({
  name: "sum_experts",
  source: { file: "kernels/sum_experts.wgsl", text: source },
  params: { tokens: "u32", per_token: "u32", width: "u32", rows: "u32" },
  buffers: { slots: "read", x: "read", residual: "read", y: "read_write" },
  shapes: ({ tokens, per_token, width, rows }) => ({
    slots: [tokens, per_token],
    x: [rows, width],
    residual: [tokens, width],
    y: [tokens, width],
  }),
  workgroups: ({ tokens, width }) => [tiles(width, 4 * 64), tokens, 1],
});
