import type { expertMatmul } from "../../kernels/expert_matmul.ts";
import { type DType, QUANTISED_MULTIPLE } from "../../kernels/tensor.ts";
import { assertClose } from "../close.ts";
import { expertMatmul as reference } from "../reference/experts.ts";
import { crowded, partsOf, routed, type Spread, uploadSlots } from "./_expert_cases.ts";
import { gpuTest, noise, packed, uploadPacked, wideGpuTest } from "./_gpu.ts";

/** Sums of up to 136 products of values up to 1, in f32. */
const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

/** One spread of tokens, the size of the matrices, and the boundary they stand at. */
export interface ExpertProductCase extends Spread {
  readonly columns: number;
  readonly depth: number;
  /** Whether rows of x are the tokens', not the slots'. */
  readonly byToken?: boolean;
  /** Rows of the stacked matrices behind which it is cut. */
  readonly cuts?: readonly number[];
  /** At the boundary of 32 lanes. */
  readonly wide?: boolean;
}

/** Cases at the boundaries of neither algorithm alone. */
export const COMMON_CASES: readonly ExpertProductCase[] = [
  { tokens: 0, count: 2, perToken: 1, columns: 16, depth: 8, why: "no tokens" },
  { tokens: 1, count: 1, perToken: 1, columns: 16, depth: 8, why: "one expert, one pack" },
  {
    tokens: 1,
    count: 8,
    perToken: 2,
    columns: 24,
    depth: 40,
    byToken: true,
    why: "one token: experts without any",
  },
  { tokens: 6, count: 4, perToken: 2, columns: 40, depth: 72, why: "rows by slot" },
  {
    tokens: 9,
    count: 3,
    perToken: 2,
    columns: 40,
    depth: 48,
    cuts: [64],
    byToken: true,
    why: "packs of 16 values, and half a group at the end of a row",
  },
  { tokens: 6, count: 4, perToken: 2, columns: 40, depth: 72, byToken: true, why: "rows by token" },
  {
    tokens: 5,
    count: 3,
    perToken: 2,
    columns: 136,
    depth: 40,
    cuts: [136, 272],
    why: "a part for each expert",
  },
  {
    tokens: 9,
    count: 3,
    perToken: 2,
    columns: 104,
    depth: 40,
    cuts: [64, 128, 192],
    byToken: true,
    why: "parts that begin amid an expert's rows",
  },
  {
    tokens: 9,
    count: 4,
    perToken: 2,
    columns: 24,
    depth: 40,
    cuts: [64],
    why: "a part with several experts",
  },
];

/** The tests that `expert_matmul` and `expert_matmul_skinny` share. */
export function testExpertProduct(
  kernel: typeof expertMatmul,
  cases: readonly ExpertProductCase[],
  constants: { readonly row_tile?: number } = {},
): void {
  const variant = Object.entries(constants).map(([name, value]) => ` ${name}=${value}`).join("");
  for (const { columns, depth, byToken = false, cuts = [], wide, ...spread } of cases) {
    for (const dtype of ["f32", "f16", "bf16", "int8", "int4"] satisfies DType[]) {
      if (dtype.startsWith("int") && depth % QUANTISED_MULTIPLE !== 0) continue;
      const { tokens, count, perToken, why } = spread;
      const shapes =
        `[${tokens} x ${perToken}, ${depth}] x ${count} x [${columns}, ${depth}] ${dtype}${variant}`;
      const test = wide && dtype === "bf16" ? wideGpuTest : gpuTest;
      test(`${kernel.name} ${shapes} matches the reference (${why})`, async (gpu) => {
        const { routing } = routed(spread);
        const slots = tokens * perToken, slotsPerToken = byToken ? perToken : 0;
        const x = noise((byToken ? tokens : slots) * depth, 1);
        const { values } = packed(noise(count * columns * depth, 2), dtype, depth);
        const tensors = {
          ...uploadSlots(gpu, routing),
          x: gpu.upload("x", x, [x.length / depth, depth]),
          y: gpu.upload("y", noise(slots * columns, 3), [slots, columns]),
        };
        for (const { first, rows } of partsOf(count * columns, cuts)) {
          const stored = packed(values.slice(first * depth, (first + rows) * depth), dtype, depth);
          const weight = uploadPacked(gpu, "weight", stored, dtype, [rows, depth]);
          gpu.run(kernel, {
            params: {
              slots,
              experts: count,
              slots_per_token: slotsPerToken,
              columns,
              depth,
              weight_first: first,
              weight_rows: rows,
            },
            buffers: { ...tensors, weight },
            constants,
          });
          gpu.free(weight);
        }
        const expected = reference(x, values, routing, { columns, depth, slotsPerToken });
        assertClose(await gpu.readF32(tensors.y), expected, TOLERANCE, [slots, columns]);
        gpu.free(...Object.values(tensors));
      });
    }
  }
}

/** Each of `counts` experts' loads: `tokens` all on the last two, which so have `tokens` slots each. */
export function crowd(
  tokens: number,
  columns: number,
  depth: number,
  why: string,
  wide = false,
): ExpertProductCase {
  const count = 3;
  return {
    tokens,
    count,
    perToken: 2,
    logits: crowded(tokens, count),
    columns,
    depth,
    byToken: true,
    wide,
    why,
  };
}
