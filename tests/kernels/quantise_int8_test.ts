import { assert, assertEquals } from "@std/assert";
import { quantiseInt8 } from "../../kernels/quantise_int8.ts";
import { assertClose } from "../close.ts";
import { dequantiseInt8, quantiseInt8 as reference } from "../reference/quantise.ts";
import { gpuTest } from "./_gpu.ts";
import {
  normalWeights,
  type Quantiser,
  quantiseRows,
  relativeError,
  testQuantiser,
} from "./_quantise_cases.ts";

const INT8: Quantiser = {
  kernel: quantiseInt8,
  dtype: "int8",
  quantise: reference,
  dequantise: dequantiseInt8,
  codesOf: ({ buffer }) => Float64Array.from(new Int8Array(buffer)),
  scalesOf: ({ buffer }) => Float64Array.from(new Float32Array(buffer)),
  // A division in f32, which WGSL lets be off by 2.5 units in the last place.
  scaleTolerance: 3e-7,
};

testQuantiser(INT8);

gpuTest("quantise_int8 rounds to the nearest integer, ties to even, and reaches ±127", async (gpu) => {
  const row = Float32Array.of(
    127,
    -127,
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    -2.5,
    0.51,
    -0.49,
    125.5,
    126.5,
    0,
    1,
    3,
    -3,
  );
  const { codes, scales } = await quantiseRows(gpu, INT8, row, { depth: 16 });
  assertEquals(scales, Float64Array.of(1));
  assertEquals([...codes], [127, -127, 0, 2, 2, 0, -2, -2, 1, 0, 126, 126, 0, 1, 3, -3]);
});

gpuTest("quantise_int8 takes more rows than a line of the grid has", async (gpu) => {
  const rows = 32769, depth = 16;
  const weight = Float32Array.from({ length: rows * depth }, (_, at) => Math.floor(at / depth) + 1);
  const { codes, scales } = await quantiseRows(gpu, INT8, weight, { depth });
  assert(codes.every((code) => code === 127));
  assertClose(scales, Float64Array.from({ length: rows }, (_, row) => (row + 1) / 127), {
    absolute: 0,
    relative: 3e-7,
  });
});

gpuTest(
  "quantise_int8 of normal weights is off by half a step at most, and by 0.9 % on average",
  async (gpu) => {
    const depth = 2048, weight = normalWeights(4 * depth, 1);
    const { codes, scales } = await quantiseRows(gpu, INT8, weight, { depth });
    const decoded = dequantiseInt8(codes, scales, depth);
    decoded.forEach((value, at) =>
      assert(Math.abs(value - weight[at]) <= (0.5 + 1e-4) * scales[Math.floor(at / depth)])
    );
    assert(relativeError(decoded, weight) < 0.009);
  },
);
