import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./token_logits_backward.wgsl" with { type: "text" };

/** Adds the gradient of `token_logits` for `x` to `dx`. The weight is frozen and gets none. */
export const tokenLogitsBackward: Kernel<
  "rows" | "width" | "tokens" | "vocabulary" | "first",
  "dlogits" | "weight" | "ids" | "dx"
> = defineKernel({
  name: "token_logits_backward",
  source: { file: "kernels/token_logits_backward.wgsl", text: source },
  uses: ["weights"],
  params: { rows: "u32", width: "u32", tokens: "u32", vocabulary: "u32", first: "u32" },
  buffers: { dlogits: "read", weight: "read", ids: "read", dx: "read_write" },
  packed: "weight",
  shapes: ({ rows, width, tokens, vocabulary }) => ({
    dlogits: [rows, tokens],
    weight: [vocabulary, width],
    ids: [tokens],
    dx: [rows, width],
  }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
