import source from "./attention_delta.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** `delta[r, h] = dy[r, h] · y[r, h]`, which both backward kernels of attention need. */
export const attentionDelta: Kernel<"rows" | "heads" | "head_dim", "y" | "dy" | "delta"> = defineKernel({
  name: "attention_delta",
  source: { file: "kernels/attention_delta.wgsl", text: source },
  params: { rows: "u32", heads: "u32", head_dim: "u32" },
  buffers: { y: "read", dy: "read", delta: "read_write" },
  shapes: ({ rows, heads, head_dim }) => ({
    y: [rows, heads * head_dim],
    dy: [rows, heads * head_dim],
    delta: [rows, heads],
  }),
  workgroups: ({ rows, heads }) => [tiles(rows * heads, 64), 1, 1],
});
