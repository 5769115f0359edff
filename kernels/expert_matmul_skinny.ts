import { expertMatmul } from "./expert_matmul.ts";
import broadcast from "./expert_matmul_skinny.broadcast.wgsl" with { type: "text" };
import reduce from "./expert_matmul_skinny.reduce.wgsl" with { type: "text" };
import { defineKernel } from "./kernel.ts";

/** {@linkcode expertMatmul} for a few slots of each expert, as in decoding: the weights of chosen experts are loaded once. */
export const expertMatmulSkinny: typeof expertMatmul = defineKernel({
  ...expertMatmul,
  name: "expert_matmul_skinny",
  source: {
    cpu: { file: "kernels/expert_matmul_skinny.broadcast.wgsl", text: broadcast },
    gpu: { file: "kernels/expert_matmul_skinny.reduce.wgsl", text: reduce },
  },
  constants: { cpu: { row_tile: 4, column_tile: 16 }, gpu: { row_tile: 4, column_tile: 4 } },
});
