import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./rope.wgsl" with { type: "text" };

/**
 * Rotary position embedding, in place, on the pairs `(i, i + head_dim / 2)` of each head as Hugging Face lays them
 * out. `direction` is 1 forward; -1 turns back, which is the backward pass.
 */
export const rope: Kernel<
  "rows" | "heads" | "head_dim" | "stride" | "first" | "capacity" | "direction",
  "positions" | "table" | "x"
> = defineKernel({
  name: "rope",
  source: { file: "kernels/rope.wgsl", text: source },
  params: {
    rows: "u32",
    heads: "u32",
    head_dim: "u32",
    stride: "u32",
    first: "u32",
    capacity: "u32",
    direction: "f32",
  },
  buffers: { positions: "read", table: "read", x: "read_write" },
  shapes: ({ rows, head_dim, stride, capacity }) => ({
    positions: [rows],
    table: [capacity, head_dim / 2, 2],
    x: [rows, stride],
  }),
  workgroups: ({ rows, heads, head_dim }) => [tiles(heads * head_dim, 8 * 64), rows, 1],
});
