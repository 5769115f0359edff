import { defineKernel, type Kernel } from "./kernel.ts";
import source from "./route_experts.wgsl" with { type: "text" };

/**
 * Chooses experts for each token from the router's logits, and sorts the choices by expert, so that what the experts
 * compute lies in slots, those of one expert side by side.
 */
export const routeExperts: Kernel<
  "tokens" | "count" | "per_token" | "stride" | "adapted",
  "logits" | "experts" | "weights" | "slots" | "choices" | "spans"
> = defineKernel({
  name: "route_experts",
  source: { file: "kernels/route_experts.wgsl", text: source },
  uses: ["lanes"],
  params: { tokens: "u32", count: "u32", per_token: "u32", stride: "u32", adapted: "u32" },
  buffers: {
    logits: "read",
    experts: "read_write",
    weights: "read_write",
    slots: "read_write",
    choices: "read_write",
    spans: "read_write",
  },
  shapes: ({ tokens, count, per_token, stride }) => ({
    logits: [tokens, stride],
    experts: [tokens, per_token],
    weights: [tokens, per_token],
    slots: [tokens, per_token],
    choices: [tokens * per_token],
    spans: [count, 3],
  }),
  workgroups: ({ tokens }) => [tokens === 0 ? 0 : 1, 1, 1],
});
