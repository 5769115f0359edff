import source from "./attention.wgsl" with { type: "text" };
import { ROW_TILE } from "./attention_schedule.ts";
import { defineKernel, type Kernel } from "./kernel.ts";

/** The `window` of attention over all keys. */
export const NO_WINDOW = 0xffffffff;

/**
 * Causal grouped-query attention over packed segments, each with a shared prefix if it has one; keys and values come
 * from `kv`, which is the buffer of `q` itself or a cache.
 *
 * A row sees no more than `window` keys, its own and those right before it; {@linkcode NO_WINDOW} for all.
 * Set `head_dim` to that of the model, and build `tiles` for `row_tile` with `attentionTiles`.
 */
export const attention: Kernel<
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
  "q" | "kv" | "tiles" | "y" | "lse",
  "row_tile" | "head_dim"
> = defineKernel({
  name: "attention",
  source: { file: "kernels/attention.wgsl", text: source },
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
  buffers: { q: "read", kv: "read", tiles: "read", y: "read_write", lse: "read_write" },
  constants: { cpu: { row_tile: ROW_TILE, head_dim: 64 }, gpu: { row_tile: ROW_TILE, head_dim: 64 } },
  shapes: ({ tile_count, kv_heads, group, rows, q_stride, kv_rows, kv_stride, k_first, v_first }) => ({
    q: [rows, q_stride],
    kv: [kv_rows, kv_stride],
    tiles: [tile_count, 8],
    y: [rows, group * (v_first - k_first)],
    lse: [rows, kv_heads * group],
  }),
  workgroups: ({ tile_count, kv_heads }) => [tile_count, kv_heads, 1],
});
