import { defineKernel, tiles } from "./kernel.ts";
import { matmul } from "./matmul.ts";
import broadcast from "./matmul_skinny.broadcast.wgsl" with { type: "text" };
import reduce from "./matmul_skinny.reduce.wgsl" with { type: "text" };

/** {@linkcode matmul} for a few rows, as in decoding: every weight is loaded once, for all rows. */
export const matmulSkinny: typeof matmul = defineKernel({
  ...matmul,
  name: "matmul_skinny",
  source: {
    cpu: { file: "kernels/matmul_skinny.broadcast.wgsl", text: broadcast },
    gpu: { file: "kernels/matmul_skinny.reduce.wgsl", text: reduce },
  },
  constants: { cpu: { row_tile: 4, column_tile: 16 }, gpu: { row_tile: 4, column_tile: 4 } },
  workgroups: ({ rows, columns }, { column_tile }) => [rows === 0 ? 0 : tiles(columns, column_tile), 1, 1],
});
