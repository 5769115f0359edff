import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./route_experts_backward.wgsl" with { type: "text" };

/** The gradient of the weights of `route_experts` for the logits; which experts are chosen has none. */
export const routeExpertsBackward: Kernel<
  "tokens" | "per_token" | "stride",
  "experts" | "weights" | "dweights" | "dlogits"
> = defineKernel({
  name: "route_experts_backward",
  source: { file: "kernels/route_experts_backward.wgsl", text: source },
  params: { tokens: "u32", per_token: "u32", stride: "u32" },
  buffers: { experts: "read", weights: "read", dweights: "read", dlogits: "read_write" },
  shapes: ({ tokens, per_token, stride }) => ({
    experts: [tokens, per_token],
    weights: [tokens, per_token],
    dweights: [tokens, per_token],
    dlogits: [tokens, stride],
  }),
  workgroups: ({ tokens }) => [tiles(tokens, 64), 1, 1],
});
