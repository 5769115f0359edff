import { assert, assertEquals } from "@std/assert";
import { Profiler } from "../../kernels/profiler.ts";
import { deviceTest } from "./_gpu.ts";

/** Runs a pass of nothing that a profiler measures. */
function pass(device: GPUDevice, timestampWrites: GPUComputePassTimestampWrites | undefined): void {
  const encoder = device.createCommandEncoder();
  encoder.beginComputePass({ timestampWrites }).end();
  device.queue.submit([encoder.finish()]);
}

Deno.test("Profiler.create() gives none for a device without timestamps", () => {
  assertEquals(Profiler.create({ features: new Set(["subgroups"]) } as unknown as GPUDevice), undefined);
});

deviceTest("Profiler.results() adds up time and calls by name", async ({ device }) => {
  const profiler = Profiler.create(device);
  for (const name of ["a", "b", "a"]) pass(device, profiler?.next(name));
  const results = await profiler?.results() ?? new Map();
  const expected = profiler ? [["a", 2], ["b", 1]] : [];
  assertEquals([...results].map(([name, { calls }]) => [name, calls]), expected);
  assert([...results.values()].every(({ nanoseconds }) => nanoseconds >= 0));
  profiler?.destroy();
  device.destroy();
});

deviceTest("Profiler.results() of no calls is empty", async ({ device }) => {
  const profiler = Profiler.create(device);
  assertEquals([...await profiler?.results() ?? []], []);
  profiler?.destroy();
  device.destroy();
});

deviceTest("Profiler.next() measures no more than 2048 calls", async ({ device }) => {
  const profiler = Profiler.create(device);
  const measured = Array.from({ length: 2049 }, () => profiler?.next("a")).filter((writes) =>
    writes !== undefined
  );
  assertEquals(
    measured.map(({ endOfPassWriteIndex }) => endOfPassWriteIndex).at(-1),
    profiler ? 4095 : undefined,
  );
  assertEquals(measured.length, profiler ? 2048 : 0);
  profiler?.destroy();
  device.destroy();
  await device.lost;
});
