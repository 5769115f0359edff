import { defineKernel, type Kernel } from "./kernel.ts";
import source from "./sample_top_p.wgsl" with { type: "text" };

/**
 * A token for each row, drawn from the most probable ones that together reach `top_p`, and its log probability in
 * nats before temperature and cut. The draw depends on `(seed, step, counter)` and the row's logits only.
 */
export const sampleTopP: Kernel<
  "rows" | "vocabulary" | "stride" | "temperature" | "top_p" | "seed" | "step",
  "logits" | "counters" | "tokens" | "logprobs"
> = defineKernel({
  name: "sample_top_p",
  source: { file: "kernels/sample_top_p.wgsl", text: source },
  uses: ["lanes", "random"],
  params: {
    rows: "u32",
    vocabulary: "u32",
    stride: "u32",
    temperature: "f32",
    top_p: "f32",
    seed: "u32",
    step: "u32",
  },
  buffers: { logits: "read", counters: "read", tokens: "read_write", logprobs: "read_write" },
  shapes: ({ rows, stride }) => ({
    logits: [rows, stride],
    counters: [rows],
    tokens: [rows],
    logprobs: [rows],
  }),
  workgroups: ({ rows }) => [rows, 1, 1],
});
