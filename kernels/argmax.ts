import source from "./argmax.wgsl" with { type: "text" };
import { defineKernel, type Kernel } from "./kernel.ts";

/** The most probable token of each row and its log probability in nats: greedy decoding. */
export const argmax: Kernel<"rows" | "vocabulary" | "stride", "logits" | "tokens" | "logprobs"> =
  defineKernel({
    name: "argmax",
    source: { file: "kernels/argmax.wgsl", text: source },
    uses: ["lanes"],
    params: { rows: "u32", vocabulary: "u32", stride: "u32" },
    buffers: { logits: "read", tokens: "read_write", logprobs: "read_write" },
    shapes: ({ rows, stride }) => ({ logits: [rows, stride], tokens: [rows], logprobs: [rows] }),
    workgroups: ({ rows }) => [rows, 1, 1],
  });
