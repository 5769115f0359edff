import source from "./divergence.wgsl" with { type: "text" };
import { defineKernel, type Kernel } from "./kernel.ts";

/** Values of the parameter `kind` of {@linkcode divergence}. */
export const DIVERGENCE_KIND = { jsd: 0, forward_kl: 1, reverse_kl: 2 } as const;

/** How far a student's next-token distributions are from a reference's, and the gradient, in place of the logits. */
export const divergence: Kernel<
  "rows" | "vocabulary" | "stride" | "kind" | "scale",
  "logits" | "reference" | "loss"
> = defineKernel({
  name: "divergence",
  source: { file: "kernels/divergence.wgsl", text: source },
  uses: ["lanes"],
  params: { rows: "u32", vocabulary: "u32", stride: "u32", kind: "u32", scale: "f32" },
  buffers: { logits: "read_write", reference: "read", loss: "read_write" },
  shapes: ({ rows, stride }) => ({ logits: [rows, stride], reference: [rows, stride], loss: [rows] }),
  workgroups: ({ rows }) => [rows, 1, 1],
});
