import source from "./attention_backward_query.wgsl" with { type: "text" };
import { ROW_TILE } from "./attention_schedule.ts";
import { defineKernel, type Kernel } from "./kernel.ts";

/**
 * The gradient of `attention` for `q`, before RoPE is turned back.
 *
 * Takes the constants and the tiles of the forward call, and keys and values from the same buffer: that of `q` itself
 * or a cache.
 */
export const attentionBackwardQuery: Kernel<
  | "tile_count"
  | "kv_heads"
  | "group"
  | "rows"
  | "q_stride"
  | "kv_rows"
  | "kv_stride"
  | "k_first"
  | "v_first"
  | "window"
  | "scale",
  "q" | "kv" | "tiles" | "lse" | "delta" | "dy" | "dq",
  "row_tile" | "head_dim"
> = defineKernel({
  name: "attention_backward_query",
  source: { file: "kernels/attention_backward_query.wgsl", text: source },
  uses: ["lanes"],
  params: {
    tile_count: "u32",
    kv_heads: "u32",
    group: "u32",
    rows: "u32",
    q_stride: "u32",
    kv_rows: "u32",
    kv_stride: "u32",
    k_first: "u32",
    v_first: "u32",
    window: "u32",
    scale: "f32",
  },
  buffers: {
    q: "read",
    kv: "read",
    tiles: "read",
    lse: "read",
    delta: "read",
    dy: "read",
    dq: "read_write",
  },
  constants: { cpu: { row_tile: ROW_TILE, head_dim: 64 }, gpu: { row_tile: ROW_TILE, head_dim: 64 } },
  shapes: ({ tile_count, kv_heads, group, rows, q_stride, kv_rows, kv_stride, k_first, v_first }) => ({
    q: [rows, q_stride],
    kv: [kv_rows, kv_stride],
    tiles: [tile_count, 8],
    lse: [rows, kv_heads * group],
    delta: [rows, kv_heads * group],
    dy: [rows, group * (v_first - k_first)],
    dq: [rows, q_stride],
  }),
  workgroups: ({ tile_count, kv_heads }) => [tile_count, kv_heads, 1],
});
