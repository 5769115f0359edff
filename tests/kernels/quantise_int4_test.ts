import { assert, assertEquals } from "@std/assert";
import { quantiseInt4 } from "../../kernels/quantise_int4.ts";
import { dequantiseInt4, quantiseInt4 as reference } from "../reference/quantise.ts";
import { gpuTest } from "./_gpu.ts";
import {
  normalWeights,
  type Quantiser,
  quantiseRows,
  relativeError,
  testQuantiser,
} from "./_quantise_cases.ts";

const INT4: Quantiser = {
  kernel: quantiseInt4,
  dtype: "int4",
  quantise: reference,
  dequantise: dequantiseInt4,
  codesOf: (words) =>
    Float64Array.from({ length: 8 * words.length }, (_, at) => words[at >> 3] >>> (4 * (at & 7)) & 15),
  scalesOf: ({ buffer }) => Float64Array.from(new Float16Array(buffer)),
  // WGSL lets the rounding to f16 go either way, by a unit in the last of 11 bits.
  scaleTolerance: 2 ** -10,
};

testQuantiser(INT4);

gpuTest("quantise_int4 rounds to the nearest integer, ties to even, from -8 to 7 steps", async (gpu) => {
  const row = Float32Array.of(-8, 8, 7.4, 7.6, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.51, -0.49, -7.5, 0, 1, -3);
  const { codes, scales } = await quantiseRows(gpu, INT4, row.with(1, 7), { depth: 16 });
  assertEquals(scales, Float64Array.of(1));
  assertEquals([...codes].map((code) => code - 8), [-8, 7, 7, 7, 0, 2, 2, 0, -2, -2, 1, 0, -8, 0, 1, -3]);
});

gpuTest(
  "quantise_int4 gives the code -8 to the value of largest magnitude, whatever its sign",
  async (gpu) => {
    const above = new Float32Array(16).fill(-3).with(4, 4), below = above.map((value) => -value);
    const { codes, scales } = await quantiseRows(gpu, INT4, Float32Array.of(...above, ...below), {
      depth: 16,
    });
    assertEquals(scales, Float64Array.of(-0.5, 0.5));
    assertEquals([...codes], [...above, ...above].map((value) => value === 4 ? 0 : 14));
  },
);

for (const { value, scale } of [{ value: 8 * 65504, scale: -65504 }, { value: 8 * 65505, scale: NaN }]) {
  gpuTest(`quantise_int4 of ${value} has the scale ${scale}, of which f16 holds up to 65504`, async (gpu) => {
    const { scales } = await quantiseRows(gpu, INT4, new Float32Array(16).fill(value), { depth: 16 });
    assertEquals(scales, Float64Array.of(scale));
  });
}

gpuTest("quantise_int4 of normal weights is off by a step at most, and by 9 % on average", async (gpu) => {
  const depth = 2048, weight = normalWeights(4 * depth, 1);
  const { codes, scales } = await quantiseRows(gpu, INT4, weight, { depth });
  const decoded = dequantiseInt4(codes, scales, depth);
  decoded.forEach((value, at) =>
    assert(Math.abs(value - weight[at]) <= 1.01 * Math.abs(scales[Math.floor(at / 32)]))
  );
  assert(relativeError(decoded, weight) < 0.09);
});
