import source from "./token_logprobs.wgsl" with { type: "text" };
import { defineKernel, type Kernel } from "./kernel.ts";

/** Log probability of one token of each row, and the entropy of what it was one of, in nats. */
export const tokenLogprobs: Kernel<
  "rows" | "vocabulary" | "stride",
  "logits" | "ids" | "logprobs" | "entropies"
> = defineKernel({
  name: "token_logprobs",
  source: { file: "kernels/token_logprobs.wgsl", text: source },
  uses: ["lanes"],
  params: { rows: "u32", vocabulary: "u32", stride: "u32" },
  buffers: { logits: "read", ids: "read", logprobs: "read_write", entropies: "read_write" },
  shapes: ({ rows, stride }) => ({
    logits: [rows, stride],
    ids: [rows],
    logprobs: [rows],
    entropies: [rows],
  }),
  workgroups: ({ rows }) => [rows, 1, 1],
});
