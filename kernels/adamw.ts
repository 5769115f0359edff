import source from "./adamw.wgsl" with { type: "text" };
import { gradientNormGroups } from "./gradient_norm.ts";
import { defineKernel, type Kernel } from "./kernel.ts";

/** One step of AdamW with clipping, on the gradient and the partial sums that `gradient_norm` leaves. */
export const adamw: Kernel<
  | "count"
  | "groups"
  | "learning_rate"
  | "beta1"
  | "beta2"
  | "eps"
  | "weight_decay"
  | "correction1"
  | "correction2"
  | "max_norm",
  "gradient" | "partial" | "parameters" | "m" | "v" | "norm"
> = defineKernel({
  name: "adamw",
  source: { file: "kernels/adamw.wgsl", text: source },
  uses: ["lanes"],
  params: {
    count: "u32",
    groups: "u32",
    learning_rate: "f32",
    beta1: "f32",
    beta2: "f32",
    eps: "f32",
    weight_decay: "f32",
    correction1: "f32",
    correction2: "f32",
    max_norm: "f32",
  },
  buffers: {
    gradient: "read",
    partial: "read",
    parameters: "read_write",
    m: "read_write",
    v: "read_write",
    norm: "read_write",
  },
  shapes: ({ count, groups }) => ({
    gradient: [count],
    partial: [groups],
    parameters: [count],
    m: [count],
    v: [count],
    norm: [1],
  }),
  workgroups: ({ count }) => [gradientNormGroups(count), 1, 1],
});
