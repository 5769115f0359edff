import source from "./cross_entropy.wgsl" with { type: "text" };
import { defineKernel, type Kernel } from "./kernel.ts";

/** Cross-entropy of each row with its label, smoothed as torch's `label_smoothing` does it, and its gradient. */
export const crossEntropy: Kernel<
  "rows" | "classes" | "scale" | "smoothing",
  "logits" | "labels" | "loss" | "dlogits"
> = defineKernel({
  name: "cross_entropy",
  source: { file: "kernels/cross_entropy.wgsl", text: source },
  uses: ["lanes"],
  params: { rows: "u32", classes: "u32", scale: "f32", smoothing: "f32" },
  buffers: { logits: "read", labels: "read", loss: "read_write", dlogits: "read_write" },
  shapes: ({ rows, classes }) => ({
    logits: [rows, classes],
    labels: [rows],
    loss: [rows],
    dlogits: [rows, classes],
  }),
  workgroups: ({ rows }) => [rows, 1, 1],
});
