import source from "./attention_backward_key_value.wgsl" with { type: "text" };
import { ROW_TILE } from "./attention_schedule.ts";
import { defineKernel, type Kernel } from "./kernel.ts";

/**
 * The gradients of `attention` for k and v, before RoPE is turned back, where keys and values are rows of the same
 * buffer as the queries.
 *
 * Takes `key_tiles` that `attentionKeyTiles` built for `row_tile`.
 */
export const attentionBackwardKeyValue: Kernel<
  "tile_count" | "kv_heads" | "group" | "rows" | "stride" | "k_first" | "v_first" | "window" | "scale",
  "qkv" | "key_tiles" | "positions" | "lse" | "delta" | "dy" | "dqkv",
  "row_tile" | "head_dim"
> = defineKernel({
  name: "attention_backward_key_value",
  source: { file: "kernels/attention_backward_key_value.wgsl", text: source },
  uses: ["lanes"],
  params: {
    tile_count: "u32",
    kv_heads: "u32",
    group: "u32",
    rows: "u32",
    stride: "u32",
    k_first: "u32",
    v_first: "u32",
    window: "u32",
    scale: "f32",
  },
  buffers: {
    qkv: "read",
    key_tiles: "read",
    positions: "read",
    lse: "read",
    delta: "read",
    dy: "read",
    dqkv: "read_write",
  },
  constants: { cpu: { row_tile: ROW_TILE, head_dim: 64 }, gpu: { row_tile: ROW_TILE, head_dim: 64 } },
  shapes: ({ tile_count, kv_heads, group, rows, stride, k_first, v_first }) => ({
    qkv: [rows, stride],
    key_tiles: [tile_count, 4],
    positions: [rows],
    lse: [rows, kv_heads * group],
    delta: [rows, kv_heads * group],
    dy: [rows, group * (v_first - k_first)],
    dqkv: [rows, stride],
  }),
  workgroups: ({ tile_count, kv_heads }) => [tile_count, kv_heads, 1],
});
