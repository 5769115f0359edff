import { assert } from "@std/assert";
import { dropout } from "../../kernels/dropout.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { assertClose } from "../close.ts";
import { type DropoutKey, dropoutMask } from "../reference/random.ts";
import { gpuTest, noise } from "./_gpu.ts";

// A quotient that WGSL allows 2.5 ULP, in f32.
const TOLERANCE = { absolute: 1e-30, relative: 5e-7 };
// Masks and copies: the smallest difference is too large.
const EXACT = { absolute: Number.MIN_VALUE, relative: 0 };
const KEY: DropoutKey = { probability: 0.25, seed: 7, step: 3, site: 5 };

/** Values away from 0, so that a 0 in the result is a dropped one. */
const away = (count: number, seed: number) => noise(count, seed).map((value) => value + 3);

const range = (from: number, count: number) =>
  Uint32Array.from({ length: count }, (_, index) => from + index);

async function run(
  gpu: Gpu,
  counters: Uint32Array<ArrayBuffer>,
  x: Float32Array<ArrayBuffer>,
  { y = noise(x.length, 9), ...key }: DropoutKey & { y?: Float32Array<ArrayBuffer>; accumulate?: number },
): Promise<Float32Array> {
  const rows = counters.length, width = rows === 0 ? 0 : x.length / rows;
  const tensors = {
    counters: gpu.upload("counters", counters),
    x: gpu.upload("x", x),
    y: gpu.upload("y", y),
  };
  gpu.run(dropout, { params: { rows, width, accumulate: 0, ...key }, buffers: tensors });
  const result = await gpu.readF32(tensors.y);
  gpu.free(...Object.values(tensors));
  return result;
}

/** 1 where kept and 0 where dropped, for a block of ones. */
async function mask(gpu: Gpu, counters: Uint32Array<ArrayBuffer>, width: number, key: DropoutKey) {
  const kept = await run(gpu, counters, new Float32Array(counters.length * width).fill(1), key);
  return Float64Array.from(kept, (value) => value === 0 ? 0 : 1);
}

for (
  const { counters, width, key, why } of [
    { counters: range(0, 0), width: 8, key: KEY, why: "no rows" },
    { counters: range(0, 1), width: 4, key: KEY, why: "one row, one vector" },
    { counters: range(10, 3), width: 252, key: KEY, why: "a vector short of a workgroup" },
    { counters: range(10, 3), width: 256, key: KEY, why: "a workgroup of vectors" },
    { counters: range(10, 65), width: 260, key: KEY, why: "a vector past a workgroup" },
    {
      counters: Uint32Array.of(0xffffffff, 0x80000000),
      width: 1028,
      key: { probability: 0.1, seed: 0xffffffff, step: 0xfffffffe, site: 0xffffffff },
      why: "the largest numbers of each kind",
    },
  ]
) {
  gpuTest(
    `dropout of [${counters.length}, ${width}] draws the mask of the reference (${why})`,
    async (gpu) => {
      const x = away(counters.length * width, 1);
      const expected = dropoutMask(counters, width, key);
      const actual = await run(gpu, counters, x, key);
      assertClose(actual.map((value) => value === 0 ? 0 : 1), expected, EXACT, [counters.length, width]);
      const keep = 1 - Math.fround(key.probability);
      assertClose(actual, expected.map((kept, index) => kept * x[index] / keep), TOLERANCE);
    },
  );
}

gpuTest("dropout adds to y if accumulate is 1", async (gpu) => {
  const counters = range(0, 5), x = away(5 * 8, 1), y = noise(5 * 8, 2);
  const expected = dropoutMask(counters, 8, KEY).map((kept, index) => y[index] + kept * x[index] / 0.75);
  const actual = await run(gpu, counters, x, { ...KEY, y, accumulate: 1 });
  assertClose(actual, expected, { absolute: 5e-7, relative: 5e-7 });
});

gpuTest("dropout of probability 0 copies and of probability 1 clears", async (gpu) => {
  const counters = range(0, 9), x = away(9 * 12, 1);
  assertClose(await run(gpu, counters, x, { ...KEY, probability: 0 }), x, EXACT);
  assertClose(await run(gpu, counters, x, { ...KEY, probability: 1 }), new Float32Array(x.length), EXACT);
});

gpuTest("dropout gives a counter the same mask in another row of another batch", async (gpu) => {
  const width = 96;
  const one = await mask(gpu, Uint32Array.of(40, 41, 42), width, KEY);
  const other = await mask(gpu, Uint32Array.of(7, 42, 9, 8, 40), width, KEY);
  assertClose(other.subarray(width, 2 * width), one.subarray(2 * width), EXACT);
  assertClose(other.subarray(4 * width), one.subarray(0, width), EXACT);
});

gpuTest("dropout keeps 1 - probability of a million values within four standard deviations", async (gpu) => {
  for (const probability of [0.05, 0.1, 0.5]) {
    const kept = await mask(gpu, range(0, 1000), 1000, { ...KEY, probability });
    const rate = kept.reduce((sum, value) => sum + value) / kept.length;
    const deviation = Math.sqrt(probability * (1 - probability) / kept.length);
    assert(
      Math.abs(rate - (1 - probability)) < 4 * deviation,
      `kept ${rate} with probability ${probability}`,
    );
  }
});

gpuTest(
  "dropout masks of other seeds, steps, sites, counters and columns are not correlated",
  async (gpu) => {
    const rows = 512, width = 512, key = { ...KEY, probability: 0.5 };
    const base = await mask(gpu, range(0, rows), width, key);
    const others: Record<string, Float64Array> = {
      seed: await mask(gpu, range(0, rows), width, { ...key, seed: key.seed + 1 }),
      step: await mask(gpu, range(0, rows), width, { ...key, step: key.step + 1 }),
      site: await mask(gpu, range(0, rows), width, { ...key, site: key.site + 1 }),
      counter: await mask(gpu, range(1, rows), width, key),
      "far counter": await mask(gpu, range(2 ** 31, rows), width, key),
      column: base.map((_, index) => base[index - index % width + (index + 1) % width]),
      vector: base.map((_, index) => base[index - index % width + (index + 4) % width]),
    };
    const limit = 4 / Math.sqrt(base.length);
    for (const [what, other] of Object.entries(others)) {
      const correlation = base.reduce((sum, value, i) => sum + (2 * value - 1) * (2 * other[i] - 1), 0) /
        base.length;
      assert(
        Math.abs(correlation) < limit,
        `the next ${what} has correlation ${correlation}, above ${limit}`,
      );
    }
  },
);
