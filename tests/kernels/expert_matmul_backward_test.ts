import { expertMatmulBackward } from "../../kernels/expert_matmul_backward.ts";
import { type DType, QUANTISED_MULTIPLE } from "../../kernels/tensor.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { expertMatmul, expertMatmulBackward as reference, routeExperts } from "../reference/experts.ts";
import { crowded, partsOf, routed, type Spread, uploadSlots } from "./_expert_cases.ts";
import { gpuTest, noise, packed, uploadPacked } from "./_gpu.ts";

/** Sums of up to 136 products of values up to 1, in f32. */
const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

interface Case extends Spread {
  readonly columns: number;
  readonly depth: number;
  readonly byToken?: boolean;
  readonly cuts?: readonly number[];
}

const crowd = (tokens: number, columns: number, depth: number, why: string): Case => {
  const count = 3;
  return { tokens, count, perToken: 2, logits: crowded(tokens, count), columns, depth, why };
};

const CASES: readonly Case[] = [
  { tokens: 0, count: 2, perToken: 1, columns: 8, depth: 8, why: "no tokens" },
  { tokens: 1, count: 1, perToken: 1, columns: 4, depth: 8, why: "one expert, one pack" },
  {
    tokens: 1,
    count: 8,
    perToken: 2,
    columns: 24,
    depth: 40,
    byToken: true,
    why: "experts without any token",
  },
  { tokens: 6, count: 4, perToken: 2, columns: 40, depth: 72, byToken: true, why: "rows by token" },
  crowd(15, 8, 56, "one slot and one pack short of a tile"),
  crowd(16, 16, 64, "exactly a tile"),
  crowd(17, 20, 72, "one slot and one pack past a tile"),
  crowd(63, 12, 56, "one slot short of a workgroup tile, a vector short of a slab"),
  crowd(64, 16, 64, "exactly a workgroup tile and a slab"),
  crowd(65, 20, 72, "one slot past a workgroup tile, a vector past a slab"),
  { tokens: 130, count: 5, perToken: 2, columns: 132, depth: 136, why: "several tiles" },
  {
    tokens: 9,
    count: 4,
    perToken: 2,
    adapted: 4,
    columns: 16,
    depth: 24,
    why: "only tokens with an adapter",
  },
  {
    tokens: 9,
    count: 4,
    perToken: 2,
    adapted: 4,
    columns: 16,
    depth: 24,
    byToken: true,
    why: "the same by token",
  },
  { tokens: 9, count: 4, perToken: 2, adapted: 0, columns: 16, depth: 24, why: "no token with an adapter" },
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
];

for (const { columns, depth, byToken = false, cuts = [], ...spread } of CASES) {
  for (const dtype of ["f32", "f16", "bf16", "int8", "int4"] satisfies DType[]) {
    if (dtype.startsWith("int") && depth % QUANTISED_MULTIPLE !== 0) continue;
    const { tokens, count, perToken, adapted = tokens, why } = spread;
    const shapes = `[${tokens} x ${perToken}, ${columns}] x ${count} x [${columns}, ${depth}] ${dtype}`;
    gpuTest(`expert_matmul_backward ${shapes} matches the reference (${why})`, async (gpu) => {
      const { routing } = routed(spread);
      const slots = tokens * perToken, slotsPerToken = byToken ? perToken : 0;
      // What belongs to tokens without an adapter must not be read.
      const dy = byToken
        ? noise(adapted * columns, 1)
        : noise(slots * columns, 1).map((value, index) =>
          isAdapted(Math.floor(index / columns)) ? value : NaN
        );
      function isAdapted(slot: number): boolean {
        return routing.choices[slot] < adapted * perToken;
      }
      const before = noise(slots * depth, 3);
      const { values } = packed(noise(count * columns * depth, 2), dtype, depth);
      const tensors = {
        ...uploadSlots(gpu, routing),
        dy: gpu.upload("dy", dy, [dy.length / columns, columns]),
        dx: gpu.upload("dx", before, [slots, depth]),
      };
      for (const { first, rows } of partsOf(count * columns, cuts)) {
        const stored = packed(values.slice(first * depth, (first + rows) * depth), dtype, depth);
        const weight = uploadPacked(gpu, "weight", stored, dtype, [rows, depth]);
        gpu.run(expertMatmulBackward, {
          params: {
            slots,
            adapted: adapted * perToken,
            experts: count,
            slots_per_token: slotsPerToken,
            columns,
            depth,
            weight_first: first,
            weight_rows: rows,
          },
          buffers: { ...tensors, weight },
        });
        gpu.free(weight);
      }
      const gradient = reference(dy, values, routing, { columns, depth, slotsPerToken });
      const expected = gradient.map((value, index) =>
        isAdapted(Math.floor(index / depth)) ? value : before[index]
      );
      assertClose(await gpu.readF32(tensors.dx), expected, TOLERANCE, [slots, depth]);
      gpu.free(...Object.values(tensors));
    });
  }
}

for (const slotsPerToken of [0, 2]) {
  const rows = slotsPerToken === 0 ? "slot" : "token";
  Deno.test(`the reference of expert_matmul_backward is the derivative of expert_matmul, rows by ${rows}`, () => {
    const tokens = 3, perToken = 2, count = 4, columns = 5, depth = 4, slots = tokens * perToken;
    const routing = routeExperts(noise(tokens * count, 9), { tokens, count, perToken });
    const weight = noise(count * columns * depth, 2), dy = noise(slots * columns, 3);
    const x = noise((slotsPerToken === 0 ? slots : tokens) * depth, 1);
    const forward = { columns, depth, slotsPerToken };
    const numeric = centralDifferences((at) => inner(dy, expertMatmul(at, weight, routing, forward)), x);
    const bySlot = reference(dy, weight, routing, { columns, depth, slotsPerToken: 0 });
    // The gradient of a token's row is what its slots' gradients add up to.
    const gradient = new Float64Array(x.length);
    bySlot.forEach((value, index) => {
      const slot = Math.floor(index / depth);
      const row = slotsPerToken === 0 ? slot : Math.floor(routing.choices[slot] / slotsPerToken);
      gradient[row * depth + index % depth] += value;
    });
    assertClose(gradient, numeric, { absolute: 1e-8, relative: 1e-7 });
  });
}
