import source from "./gather_rows.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** `y[r] = x[index[r]]`: the rows a loss needs. */
export const gatherRows: Kernel<"rows" | "width" | "source_rows", "index" | "x" | "y"> = defineKernel({
  name: "gather_rows",
  source: { file: "kernels/gather_rows.wgsl", text: source },
  params: { rows: "u32", width: "u32", source_rows: "u32" },
  buffers: { index: "read", x: "read", y: "read_write" },
  shapes: ({ rows, width, source_rows }) => ({
    index: [rows],
    x: [source_rows, width],
    y: [rows, width],
  }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
