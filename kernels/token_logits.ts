import { defineKernel, type Kernel } from "./kernel.ts";
import source from "./token_logits.wgsl" with { type: "text" };

/** The logits of a handful of tokens, as far as their rows are in this part of the matrix. */
export const tokenLogits: Kernel<
  "rows" | "width" | "tokens" | "vocabulary" | "first",
  "x" | "weight" | "ids" | "logits"
> = defineKernel({
  name: "token_logits",
  source: { file: "kernels/token_logits.wgsl", text: source },
  uses: ["lanes", "weights"],
  params: { rows: "u32", width: "u32", tokens: "u32", vocabulary: "u32", first: "u32" },
  buffers: { x: "read", weight: "read", ids: "read", logits: "read_write" },
  packed: "weight",
  shapes: ({ rows, width, tokens, vocabulary }) => ({
    x: [rows, width],
    weight: [vocabulary, width],
    ids: [tokens],
    logits: [rows, tokens],
  }),
  workgroups: ({ rows, tokens }) => [tokens, rows, 1],
});
