import source from "./cache_write.wgsl" with { type: "text" };
import { defineKernel, type Kernel, tiles } from "./kernel.ts";

/** `cache[slots[r]] = source[r, source_first …]`: keys or values of new tokens, into their places in the cache. */
export const cacheWrite: Kernel<
  "rows" | "width" | "source_stride" | "source_first" | "capacity",
  "source" | "slots" | "cache"
> = defineKernel({
  name: "cache_write",
  source: { file: "kernels/cache_write.wgsl", text: source },
  params: { rows: "u32", width: "u32", source_stride: "u32", source_first: "u32", capacity: "u32" },
  buffers: { source: "read", slots: "read", cache: "read_write" },
  shapes: ({ rows, width, source_stride, capacity }) => ({
    source: [rows, source_stride],
    slots: [rows],
    cache: [capacity, width],
  }),
  workgroups: ({ rows, width }) => [tiles(width, 4 * 64), rows, 1],
});
