import { assertEquals } from "@std/assert";
import { gradientNorm, gradientNormGroups } from "../../kernels/gradient_norm.ts";
import { assertClose } from "../close.ts";
import { inner } from "../reference/central_differences.ts";
import { sumSplits } from "../reference/optimizer.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// Sums of up to 4 values up to 1, in f32.
const SUM = { absolute: 5e-7, relative: 0 };
// What stays as it was: the smallest difference is too large.
const EXACT = { absolute: Number.MIN_VALUE, relative: 0 };
// Sums of up to a million squares in f32, added lane by lane and group by group.
const SQUARES = { absolute: 0, relative: 5e-6 };

Deno.test("gradientNormGroups() gives a group for each 1024 values and at most 1024", () => {
  assertEquals([0, 4, 1024, 1028, 2 ** 20 - 4, 2 ** 20, 2 ** 20 + 4].map(gradientNormGroups), [
    0,
    1,
    1,
    2,
    1024,
    1024,
    1024,
  ]);
});

for (
  const { count, splits, wide, why } of [
    { count: 4, splits: 1, why: "one vector, nothing to add" },
    { count: 4, splits: 4, why: "one vector" },
    { count: 28, splits: 2, why: "a vector short of 8 lanes" },
    { count: 32, splits: 2, why: "a vector for each of 8 lanes" },
    { count: 36, splits: 2, why: "a vector past 8 lanes" },
    { count: 1020, splits: 3, why: "a vector short of a group" },
    { count: 1024, splits: 3, why: "a group" },
    { count: 1028, splits: 3, wide: true, why: "a vector past a group, and past 32 lanes" },
    { count: 2 ** 20 + 4, splits: 1, why: "a vector past the most groups" },
  ]
) {
  const test = wide ? wideGpuTest : gpuTest;
  test(`gradient_norm [${splits}, ${count}] adds splits and squares (${why})`, async (gpu) => {
    const gradient = noise(splits * count, 1), groups = gradientNormGroups(count);
    const tensors = {
      gradient: gpu.upload("gradient", gradient, [splits, count]),
      partial: gpu.upload("partial", noise(groups, 2)),
    };
    gpu.run(gradientNorm, { params: { count, splits }, buffers: tensors });
    const actual = await gpu.readF32(tensors.gradient), partial = await gpu.readF32(tensors.partial);
    const sum = sumSplits(gradient, count);
    assertClose(actual.subarray(0, count), sum, SUM);
    assertClose(actual.subarray(count), gradient.subarray(count), EXACT);
    assertClose([partial.reduce((total, value) => total + value, 0)], [inner(sum, sum)], SQUARES);
    gpu.free(...Object.values(tensors));
  });
}

gpuTest("gradient_norm of no values starts nothing", async (gpu) => {
  const tensors = {
    gradient: gpu.upload("gradient", noise(4, 1)),
    partial: gpu.upload("partial", noise(4, 2)),
  };
  gpu.run(gradientNorm, { params: { count: 0, splits: 2 }, buffers: tensors });
  assertClose(await gpu.readF32(tensors.gradient), noise(4, 1), EXACT);
  assertClose(await gpu.readF32(tensors.partial), noise(4, 2), EXACT);
  gpu.free(...Object.values(tensors));
});

gpuTest("gradient_norm of equal inputs is equal bit by bit", async (gpu) => {
  const count = 5000, splits = 3, runs: Float32Array[] = [];
  for (let run = 0; run < 2; run++) {
    const tensors = {
      gradient: gpu.upload("gradient", noise(splits * count, 1), [splits, count]),
      partial: gpu.tensor("partial", "f32", [gradientNormGroups(count)]),
    };
    gpu.run(gradientNorm, { params: { count, splits }, buffers: tensors });
    runs.push(await gpu.readF32(tensors.gradient), await gpu.readF32(tensors.partial));
    gpu.free(...Object.values(tensors));
  }
  assertClose(runs[2], runs[0], EXACT);
  assertClose(runs[3], runs[1], EXACT);
});
