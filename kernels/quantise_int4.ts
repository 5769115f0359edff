import { defineKernel, type Kernel, tiles } from "./kernel.ts";
import source from "./quantise_int4.wgsl" with { type: "text" };

/**
 * Rows of a weight as codes of 4 bits and a scale for each 32 of them, into an `int4` tensor from `first_row` on.
 * `codes` and `scale_words` are what `wordsOf` gives of it and of its scales.
 */
export const quantiseInt4: Kernel<"rows" | "depth" | "first_row", "weight" | "codes" | "scale_words"> =
  defineKernel({
    name: "quantise_int4",
    source: { file: "kernels/quantise_int4.wgsl", text: source },
    uses: ["weights"],
    params: { rows: "u32", depth: "u32", first_row: "u32" },
    buffers: { weight: "read", codes: "read_write", scale_words: "read_write" },
    packed: "weight",
    shapes: ({ rows, depth, first_row }) => ({
      weight: [rows, depth],
      codes: [first_row + rows, depth / 8],
      scale_words: [tiles((first_row + rows) * tiles(depth, 32), 2)],
    }),
    workgroups: ({ rows, depth, first_row }) => {
      const groups = tiles(depth, 32), first = first_row * groups;
      const pairs = tiles(first + rows * groups, 2) - Math.floor(first / 2);
      return [rows === 0 ? 0 : tiles(pairs, 64), 1, 1];
    },
  });
