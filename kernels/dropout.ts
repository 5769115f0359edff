import source from "./dropout.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/**
 * Dropout whose mask is a function of `(seed, step, site, counter, column)`: nothing is stored, the backward pass
 * draws it again, and a token keeps its mask wherever it lies in a batch.
 */
export const dropout: Kernel<
  "rows" | "width" | "probability" | "seed" | "step" | "site" | "accumulate",
  "counters" | "x" | "y"
> = defineKernel({
  name: "dropout",
  source: { file: "kernels/dropout.wgsl", text: source },
  uses: ["random"],
  params: {
    rows: "u32",
    width: "u32",
    probability: "f32",
    seed: "u32",
    step: "u32",
    site: "u32",
    accumulate: "u32",
  },
  buffers: { counters: "read", x: "read", y: "read_write" },
  shapes: ({ rows, width }) => ({ counters: [rows], x: [rows, width], y: [rows, width] }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
