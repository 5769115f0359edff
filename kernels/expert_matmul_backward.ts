import { slotTiles } from "./expert_matmul.ts";
import broadcast from "./expert_matmul_backward.broadcast.wgsl" with { type: "text" };
import tiled from "./expert_matmul_backward.tiled.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** `dx = dy W`, the gradient of `expert_matmul` for its input, of the slots of adapted tokens only. */
export const expertMatmulBackward: Kernel<
  "slots" | "adapted" | "experts" | "slots_per_token" | "columns" | "depth" | "weight_first" | "weight_rows",
  "spans" | "choices" | "dy" | "weight" | "dx",
  "row_tile" | "depth_tile"
> = defineKernel({
  name: "expert_matmul_backward",
  source: {
    cpu: { file: "kernels/expert_matmul_backward.broadcast.wgsl", text: broadcast },
    gpu: { file: "kernels/expert_matmul_backward.tiled.wgsl", text: tiled },
  },
  uses: ["lanes", "weights", "experts"],
  params: {
    slots: "u32",
    adapted: "u32",
    experts: "u32",
    slots_per_token: "u32",
    columns: "u32",
    depth: "u32",
    weight_first: "u32",
    weight_rows: "u32",
  },
  buffers: { spans: "read", choices: "read", dy: "read", weight: "read", dx: "read_write" },
  packed: "weight",
  constants: { cpu: { row_tile: 16, depth_tile: 64 }, gpu: { row_tile: 64, depth_tile: 64 } },
  shapes: ({ slots, adapted, experts, slots_per_token, columns, depth, weight_rows }) => ({
    spans: [experts, 3],
    choices: [slots],
    dy: [slots_per_token === 0 ? slots : adapted / slots_per_token, columns],
    weight: [weight_rows, depth],
    dx: [slots, depth],
  }),
  workgroups: ({ adapted, experts, depth }, { row_tile, depth_tile }) => [
    slotTiles(adapted, experts, row_tile),
    tiles(depth, depth_tile),
    1,
  ],
});
