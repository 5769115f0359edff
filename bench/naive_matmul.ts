import { defineKernel, type Kernel, tiles } from "../kernels/kernel.ts";
import source from "./naive_matmul.wgsl" with { type: "text" };

/** The product of a linear layer with one invocation per output. */
export const naiveMatmul: Kernel<"rows" | "columns" | "depth", "x" | "weight" | "y"> = defineKernel({
  name: "naive_matmul",
  source: { file: "bench/naive_matmul.wgsl", text: source },
  params: { rows: "u32", columns: "u32", depth: "u32" },
  buffers: { x: "read", weight: "read", y: "read_write" },
  shapes: ({ rows, columns, depth }) => ({ x: [rows, depth], weight: [columns, depth], y: [rows, columns] }),
  workgroups: ({ rows, columns }) => [tiles(columns, 64), rows, 1],
});
