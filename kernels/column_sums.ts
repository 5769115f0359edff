import source from "./column_sums.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** Adds up the rows of a matrix: the gradient of a bias. */
export const columnSums: Kernel<"rows" | "columns" | "first", "x" | "sums"> = defineKernel({
  name: "column_sums",
  source: { file: "kernels/column_sums.wgsl", text: source },
  params: { rows: "u32", columns: "u32", first: "u32" },
  buffers: { x: "read", sums: "read_write" },
  shapes: ({ rows, columns, first }) => ({ x: [rows, columns], sums: [first + columns] }),
  workgroups: ({ columns }) => [tiles(columns, 64), 1, 1],
});
