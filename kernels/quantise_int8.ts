import { defineKernel, type Kernel } from "./kernel.ts";
import source from "./quantise_int8.wgsl" with { type: "text" };

/** Workgroups to a line of the grid, one a row: `grid_line` in the WGSL. */
const GRID_LINE = 32768;

/**
 * Rows of a weight as codes of 8 bits and a scale each, into an `int8` tensor from `first_row` on. `codes` and
 * `scale_words` are what `wordsOf` gives of it and of its scales.
 */
export const quantiseInt8: Kernel<"rows" | "depth" | "first_row", "weight" | "codes" | "scale_words"> =
  defineKernel({
    name: "quantise_int8",
    source: { file: "kernels/quantise_int8.wgsl", text: source },
    uses: ["lanes", "weights"],
    params: { rows: "u32", depth: "u32", first_row: "u32" },
    buffers: { weight: "read", codes: "read_write", scale_words: "read_write" },
    packed: "weight",
    shapes: ({ rows, depth, first_row }) => ({
      weight: [rows, depth],
      codes: [first_row + rows, depth / 4],
      scale_words: [first_row + rows],
    }),
    workgroups: ({ rows }) => [Math.min(rows, GRID_LINE), Math.ceil(rows / GRID_LINE), 1],
  });
