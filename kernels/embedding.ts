import source from "./embedding.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** `y[r] = weight[ids[r] - first]`: the first hidden state of each token whose row is in this part of the matrix. */
export const embedding: Kernel<
  "rows" | "width" | "vocabulary" | "first",
  "ids" | "weight" | "y"
> = defineKernel({
  name: "embedding",
  source: { file: "kernels/embedding.wgsl", text: source },
  uses: ["weights"],
  params: { rows: "u32", width: "u32", vocabulary: "u32", first: "u32" },
  buffers: { ids: "read", weight: "read", y: "read_write" },
  packed: "weight",
  shapes: ({ rows, width, vocabulary }) => ({
    ids: [rows],
    weight: [vocabulary, width],
    y: [rows, width],
  }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
