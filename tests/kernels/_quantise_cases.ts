import { assertEquals } from "@std/assert";
import type { Gpu } from "../../kernels/gpu.ts";
import type { quantiseInt8 } from "../../kernels/quantise_int8.ts";
import { type DType, type Tensor, wordsOf } from "../../kernels/tensor.ts";
import { assertClose } from "../close.ts";
import type { Quantised } from "../reference/quantise.ts";
import { gpuTest, noise, packed, uploadPacked, WEIGHT_TYPES, wideGpuTest } from "./_gpu.ts";

/** A quantised type: its kernel, its reference, and how its words hold codes and scales. */
export interface Quantiser {
  readonly kernel: typeof quantiseInt8;
  readonly dtype: "int8" | "int4";
  quantise(weight: ArrayLike<number>, depth: number): Quantised;
  dequantise(codes: ArrayLike<number>, scales: ArrayLike<number>, depth: number): Float64Array;
  codesOf(words: Uint32Array<ArrayBuffer>): Float64Array;
  scalesOf(words: Uint32Array<ArrayBuffer>): Float64Array;
  /** How far a scale may be from the reference's. */
  readonly scaleTolerance: number;
}

/** Shapes that both quantising kernels are run on. */
const CASES: readonly { rows: number; depth: number; why: string; wide?: boolean }[] = [
  { rows: 0, depth: 16, why: "no rows" },
  { rows: 1, depth: 16, why: "one row, half a group" },
  { rows: 3, depth: 32, why: "one group a row, an odd number of them" },
  { rows: 3, depth: 48, why: "a group and a half a row" },
  { rows: 2, depth: 64, why: "a 16-bit pack for each of 8 lanes" },
  { rows: 5, depth: 80, why: "past 8 lanes" },
  { rows: 43, depth: 96, why: "a group past a workgroup of 64 invocations for two groups each" },
  { rows: 2, depth: 272, why: "past 32 lanes", wide: true },
];

/** Half a step of the codes, and what a quotient in f32 may be off near the middle of one. */
const NEAREST = { absolute: 0.5 + 1e-4, relative: 0 };

/** Quantises rows of a weight into rows of a target, and reads all of the target. */
export async function quantiseRows(
  gpu: Gpu,
  quantiser: Quantiser,
  weight: Float32Array,
  { depth, stored = "f32", before, firstRow = 0 }: {
    depth: number;
    stored?: DType;
    before?: Uint32Array<ArrayBuffer>;
    firstRow?: number;
  },
): Promise<{ codes: Float64Array; scales: Float64Array }> {
  const { kernel, dtype } = quantiser;
  const rows = weight.length / depth;
  const source = uploadPacked(gpu, "weight", packed(weight, stored, depth), stored, [rows, depth]);
  const target = gpu.tensor("target", dtype, [firstRow + rows, depth]);
  const [codes, scales] = [wordsOf(target), wordsOf(target.scales!)];
  if (before) {
    for (const tensor of [codes, scales]) {
      gpu.write(tensor, before.subarray(0, tensor.shape[0]));
    }
  }
  gpu.run(kernel, {
    params: { rows, depth, first_row: firstRow },
    buffers: { weight: source, codes, scale_words: scales },
  });
  const read = await readTarget(gpu, quantiser, target);
  gpu.free(source, target);
  return read;
}

/** Codes and scales of a quantised tensor, as they are on the GPU. */
async function readTarget(gpu: Gpu, { codesOf, scalesOf }: Quantiser, target: Tensor) {
  const [codes, scales] = await gpu.read(wordsOf(target), wordsOf(target.scales!));
  const count = target.scales!.shape.reduce((product, extent) => product * extent, 1);
  return {
    codes: codesOf(codes as Uint32Array<ArrayBuffer>),
    scales: scalesOf(scales as Uint32Array<ArrayBuffer>).slice(0, count),
  };
}

/** The tests that both kernels share. */
export function testQuantiser(quantiser: Quantiser): void {
  const { kernel: { name }, dtype, quantise, dequantise, scaleTolerance } = quantiser;
  for (const { rows, depth, why, wide } of CASES) {
    for (const stored of WEIGHT_TYPES) {
      const test = wide && stored === "bf16" ? wideGpuTest : gpuTest;
      test(`${name} [${rows}, ${depth}] of ${stored} matches the reference (${why})`, async (gpu) => {
        const { values } = packed(noise(rows * depth, 1), stored, depth);
        const { codes, scales } = await quantiseRows(gpu, quantiser, values, { depth, stored });
        const expected = quantise(values, depth);
        assertClose(scales, expected.scales, { absolute: Number.MIN_VALUE, relative: scaleTolerance });
        assertClose(codes, expected.quotients, NEAREST, [rows, depth]);
      });
    }
  }

  gpuTest(`${name} gives zeros for zeros and for magnitudes too small for a scale`, async (gpu) => {
    const depth = 16, weight = new Float32Array(3 * depth);
    weight.fill(1e-38, depth, 2 * depth);
    weight.fill(-1e-38, 2 * depth);
    const { codes, scales } = await quantiseRows(gpu, quantiser, weight, { depth });
    assertClose(dequantise(codes, scales, depth), new Float64Array(weight.length), {
      absolute: Number.MIN_VALUE,
      relative: 0,
    });
  });

  for (const [title, value] of Object.entries({ "NaN": NaN, "infinity": Infinity, "-infinity": -Infinity })) {
    gpuTest(`${name} gives NaN for what shares a scale with ${title}, and nothing else`, async (gpu) => {
      const depth = 16, weight = noise(3 * depth, 2);
      weight[depth + 5] = value;
      const { codes, scales } = await quantiseRows(gpu, quantiser, weight, { depth });
      const decoded = dequantise(codes, scales, depth);
      assertEquals(
        Array.from(decoded, Number.isNaN),
        Array.from(weight, (_, at) => at >= depth && at < 2 * depth),
      );
    });
  }

  for (
    const { first, depth } of [{ first: 1, depth: 16 }, { first: 2, depth: 80 }, { first: 3, depth: 96 }]
  ) {
    gpuTest(`${name} from row ${first} on keeps the rows of ${depth} before it`, async (gpu) => {
      const rows = 4, weight = noise(rows * depth, 3);
      const before = new Uint32Array(noise(7 * depth, 4).buffer);
      const all = await quantiseRows(gpu, quantiser, weight, { depth, before, firstRow: first });
      const alone = await quantiseRows(gpu, quantiser, weight, { depth });
      const groups = alone.scales.length / rows;
      assertEquals(all.codes.slice(first * depth), alone.codes);
      assertEquals(all.scales.slice(first * groups), alone.scales);
      assertEquals(all.codes.slice(0, first * depth), quantiser.codesOf(before).slice(0, first * depth));
      assertEquals(all.scales.slice(0, first * groups), quantiser.scalesOf(before).slice(0, first * groups));
    });
  }

  gpuTest(`${name} in pieces of any number of rows gives what it gives in one`, async (gpu) => {
    const rows = 9, depth = 48, weight = noise(rows * depth, 5);
    const target = gpu.tensor("target", dtype, [rows, depth]);
    let first = 0;
    for (const count of [1, 3, 1, 4]) {
      const piece = gpu.upload("piece", weight.slice(first * depth, (first + count) * depth), [count, depth]);
      gpu.run(quantiser.kernel, {
        params: { rows: count, depth, first_row: first },
        buffers: { weight: piece, codes: wordsOf(target), scale_words: wordsOf(target.scales!) },
      });
      gpu.free(piece);
      first += count;
    }
    const pieces = await readTarget(gpu, quantiser, target);
    gpu.free(target);
    assertEquals(pieces, await quantiseRows(gpu, quantiser, weight, { depth }));
  });
}

/** Normal numbers of deviation 0.02, as weights are, from sums of twelve even ones. */
export function normalWeights(count: number, seed: number): Float32Array<ArrayBuffer> {
  const parts = noise(12 * count, seed);
  return Float32Array.from({ length: count }, (_, at) => {
    let sum = 0;
    for (let part = 0; part < 12; part++) sum += parts[12 * at + part];
    return 0.01 * sum;
  });
}

/** Root mean square of the difference, relative to that of the values. */
export function relativeError(got: ArrayLike<number>, values: ArrayLike<number>): number {
  let error = 0, size = 0;
  for (let at = 0; at < values.length; at++) {
    error += (got[at] - values[at]) ** 2;
    size += values[at] ** 2;
  }
  return Math.sqrt(error / size);
}
