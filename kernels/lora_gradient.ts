import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./lora_gradient.wgsl" with { type: "text" };

/** `gradient += scale · wideᵀ narrow`: the gradients of both LoRA matrices, in the layout of either. */
export const loraGradient: Kernel<
  | "rows"
  | "wide_count"
  | "wide_stride"
  | "wide_first"
  | "narrow_count"
  | "narrow_stride"
  | "narrow_first"
  | "first"
  | "wide_step"
  | "narrow_step"
  | "gradient_stride"
  | "splits"
  | "scale",
  "wide" | "narrow" | "gradient"
> = defineKernel({
  name: "lora_gradient",
  source: { file: "kernels/lora_gradient.wgsl", text: source },
  uses: ["lanes"],
  params: {
    rows: "u32",
    wide_count: "u32",
    wide_stride: "u32",
    wide_first: "u32",
    narrow_count: "u32",
    narrow_stride: "u32",
    narrow_first: "u32",
    first: "u32",
    wide_step: "u32",
    narrow_step: "u32",
    gradient_stride: "u32",
    splits: "u32",
    scale: "f32",
  },
  buffers: { wide: "read", narrow: "read", gradient: "read_write" },
  shapes: ({ rows, wide_stride, narrow_stride, gradient_stride, splits }) => ({
    wide: [rows, wide_stride],
    narrow: [rows, narrow_stride],
    gradient: [splits, gradient_stride],
  }),
  workgroups: ({ rows, wide_count, narrow_count, splits }, { lanes }) => [
    rows === 0 ? 0 : tiles(wide_count, 4 * lanes),
    tiles(narrow_count, 8),
    splits,
  ],
});
