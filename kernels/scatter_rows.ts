import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./scatter_rows.wgsl" with { type: "text" };

/** `y[index[r]] += x[r]`, with every index once: gradients of gathered rows, back to where they came from. */
export const scatterRows: Kernel<"rows" | "width" | "target_rows", "index" | "x" | "y"> = defineKernel({
  name: "scatter_rows",
  source: { file: "kernels/scatter_rows.wgsl", text: source },
  params: { rows: "u32", width: "u32", target_rows: "u32" },
  buffers: { index: "read", x: "read", y: "read_write" },
  shapes: ({ rows, width, target_rows }) => ({
    index: [rows],
    x: [rows, width],
    y: [target_rows, width],
  }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
