import { assertEquals, assertRejects } from "@std/assert";
import { Readback } from "../../kernels/readback.ts";
import { deviceTest } from "./_gpu.ts";

/** Values to copy, in a buffer of the GPU. */
function filled(device: GPUDevice, count: number, value: number): GPUBuffer {
  const buffer = device.createBuffer({
    size: 4 * count,
    usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, new Uint32Array(count).fill(value));
  return buffer;
}

function copy(device: GPUDevice, from: GPUBuffer, to: GPUBuffer, bytes: number): void {
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
  device.queue.submit([encoder.finish()]);
}

async function values(
  readback: Readback,
  device: GPUDevice,
  from: GPUBuffer,
  bytes: number,
): Promise<number[]> {
  const staging = readback.staging(bytes);
  copy(device, from, staging, bytes);
  return [...new Uint32Array(await readback.read(staging, bytes))];
}

deviceTest("Readback.read() gives what was copied, each time anew", async ({ device }) => {
  const readback = new Readback(device);
  for (const value of [1, 2, 3]) {
    assertEquals(await values(readback, device, filled(device, 3, value), 12), [value, value, value]);
  }
  device.destroy();
});

deviceTest(
  "Readback.staging() gives a buffer again once it was read, and a larger one when needed",
  async ({ device }) => {
    const readback = new Readback(device);
    const small = readback.staging(8), source = filled(device, 5000, 7);
    copy(device, source, small, 8);
    await readback.read(small, 8);
    assertEquals(readback.staging(4096), small);
    const large = readback.staging(4097);
    assertEquals(large.size, 8192);
    copy(device, source, large, 8000);
    assertEquals(new Uint32Array(await readback.read(large, 8000)).at(-1), 7);
    device.destroy();
  },
);

deviceTest("Readback.read() keeps reads that overlap apart", async ({ device }) => {
  const readback = new Readback(device);
  const sources = [filled(device, 1, 1), filled(device, 4000, 2), filled(device, 1, 3)];
  for (let round = 0; round < 3; round++) {
    const read = await Promise.all(sources.map((source) => values(readback, device, source, source.size)));
    assertEquals(read.map((all) => all.at(-1)), [1, 2, 3]);
  }
  device.destroy();
});

deviceTest("Readback.read() waits for the mapping where it is not complete at once", async ({ device }) => {
  const readback = new Readback(device);
  const source = filled(device, 1, 5);
  await values(readback, device, source, 4);
  const staging = readback.staging(4), getMappedRange = staging.getMappedRange.bind(staging);
  let calls = 0;
  staging.getMappedRange = (offset, size) => {
    if (calls++ === 0) throw new DOMException("Buffer is not mapped", "OperationError");
    return getMappedRange(offset, size);
  };
  copy(device, source, staging, 4);
  assertEquals([...new Uint32Array(await readback.read(staging, 4))], [5]);
  assertEquals(calls, 2);
  assertEquals(await values(readback, device, source, 4), [5]);
  assertEquals(calls, 3);
  device.destroy();
});

deviceTest("Readback.read() rejects if the device is gone", async ({ device }) => {
  const readback = new Readback(device);
  const staging = readback.staging(4);
  device.destroy();
  await assertRejects(() => readback.read(staging, 4));
});
