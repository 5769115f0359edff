import broadcast from "./expert_matmul.broadcast.wgsl" with { type: "text" };
import tiled from "./expert_matmul.tiled.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** Most tiles that slots fill, `size` to a tile and none with slots of two experts, however many slots each has. */
export function slotTiles(slots: number, experts: number, size: number): number {
  return Math.floor((slots + Math.min(experts, slots) * (size - 1)) / size);
}

/** `y = x Wᵀ` with the matrix of each slot's expert, all experts in one call. */
export const expertMatmul: Kernel<
  "slots" | "experts" | "slots_per_token" | "columns" | "depth" | "weight_first" | "weight_rows",
  "spans" | "choices" | "x" | "weight" | "y",
  "row_tile" | "column_tile"
> = defineKernel({
  name: "expert_matmul",
  source: {
    cpu: { file: "kernels/expert_matmul.broadcast.wgsl", text: broadcast },
    gpu: { file: "kernels/expert_matmul.tiled.wgsl", text: tiled },
  },
  uses: ["lanes", "weights", "experts"],
  params: {
    slots: "u32",
    experts: "u32",
    slots_per_token: "u32",
    columns: "u32",
    depth: "u32",
    weight_first: "u32",
    weight_rows: "u32",
  },
  buffers: { spans: "read", choices: "read", x: "read", weight: "read", y: "read_write" },
  packed: "weight",
  constants: { cpu: { row_tile: 16, column_tile: 32 }, gpu: { row_tile: 64, column_tile: 64 } },
  shapes: ({ slots, experts, slots_per_token, columns, depth, weight_rows }) => ({
    spans: [experts, 3],
    choices: [slots],
    x: [slots / Math.max(1, slots_per_token), depth],
    weight: [weight_rows, depth],
    y: [slots, columns],
  }),
  workgroups: ({ slots, experts, columns }, { row_tile, column_tile }) => [
    slotTiles(slots, experts, row_tile),
    tiles(columns, column_tile),
    1,
  ],
});
