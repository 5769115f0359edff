import source from "./gradient_norm.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/**
 * Number of partial sums for `count` values. It stays small because every workgroup of `adamw` adds them all up.
 *
 * @param count values, a multiple of 4
 */
export function gradientNormGroups(count: number): number {
  return Math.min(tiles(count, 1024), 1024);
}

/** Adds up gradients that were computed in splits, and the squares of the sums workgroup by workgroup. */
export const gradientNorm: Kernel<"count" | "splits", "gradient" | "partial"> = defineKernel({
  name: "gradient_norm",
  source: { file: "kernels/gradient_norm.wgsl", text: source },
  uses: ["lanes"],
  params: { count: "u32", splits: "u32" },
  buffers: { gradient: "read_write", partial: "read_write" },
  shapes: ({ count, splits }) => ({ gradient: [splits, count], partial: [gradientNormGroups(count)] }),
  workgroups: ({ count }) => [gradientNormGroups(count), 1, 1],
});
