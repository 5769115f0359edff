import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { embedding } from "../../kernels/embedding.ts";
import { Gpu } from "../../kernels/gpu.ts";
import { defineKernel } from "../../kernels/kernel.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import { deviceTest, ownGpuTest } from "./_gpu.ts";
import { shift } from "./_kernels.ts";

/** Records `y = x + value` for all values of `y`. */
function add(gpu: Gpu, x: Tensor, value: number, y: Tensor): void {
  gpu.run(shift, { params: { count: y.shape[0], value }, buffers: { x, y } });
}

/** A device that answers as `changes` say, and as `device` in everything else. */
function altered(device: GPUDevice, changes: Partial<Record<keyof GPUDevice, unknown>>): GPUDevice {
  return new Proxy(device, {
    get: (target, key) => {
      if (Object.hasOwn(changes, key)) return changes[key as keyof GPUDevice];
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

ownGpuTest("Gpu.readF32() gives back what Gpu.upload() was given", async (gpu) => {
  assertEquals(await gpu.readF32(gpu.upload("x", Float32Array.of(1, -2, 0.5))), Float32Array.of(1, -2, 0.5));
});

ownGpuTest("Gpu.upload() of a Uint32Array is a tensor of u32 in the shape given", async (gpu) => {
  const { dtype, shape, label } = gpu.upload("ids", Uint32Array.of(1, 2, 3, 4), [2, 2]);
  assertEquals({ dtype, shape, label }, { dtype: "u32", shape: [2, 2], label: "ids" });
  await gpu.finish();
});

ownGpuTest(
  "Gpu.tensor() of a quantised type has scales, which Gpu.free() gives back with it",
  async (gpu) => {
    const { scales, ...weight } = gpu.tensor("weight", "int4", [3, 48]);
    assertEquals([scales?.label, scales?.dtype, scales?.shape], ["weight scales", "f16", [3, 2]]);
    assertEquals(gpu.liveTensors, ["weight", "weight scales"]);
    gpu.free({ ...weight, scales });
    assertEquals(gpu.liveTensors, []);
    assertEquals("scales" in gpu.tensor("weight", "f32", [3, 48]), false);
    await gpu.finish();
  },
);

ownGpuTest("Gpu.run() tells quantised tensors apart that differ in their scales only", async (gpu) => {
  const weight = gpu.tensor("weight", "int8", [1, 16]), other = gpu.upload("other", Float32Array.of(3));
  gpu.write(weight, new Int8Array(16).fill(2));
  gpu.write(weight.scales!, Float32Array.of(0.5));
  const ids = gpu.upload("ids", Uint32Array.of(0));
  const values: number[] = [];
  for (const scales of [weight.scales, other]) {
    const y = gpu.tensor("y", "f32", [1, 16]);
    const buffers = { ids, weight: { ...weight, scales }, y };
    gpu.run(embedding, { params: { rows: 1, width: 16, vocabulary: 1, first: 0 }, buffers });
    values.push((await gpu.readF32(y))[15]);
    gpu.free(y);
  }
  assertEquals(values, [1, 6]);
});

ownGpuTest("Gpu.run() gives each of many calls its own parameters", async (gpu) => {
  const tensors = Array.from({ length: 4 }, (_, index) => gpu.tensor(`y${index}`, "f32", [1]));
  const zero = gpu.upload("zero", Float32Array.of(0));
  tensors.forEach((tensor, index) => add(gpu, zero, index + 1, tensor));
  assertEquals((await gpu.read(...tensors)).map(([value]) => value), [1, 2, 3, 4]);
});

ownGpuTest("Gpu.run() lets a call see what the calls before it wrote", async (gpu) => {
  const [a, b] = [gpu.upload("a", Float32Array.of(0)), gpu.tensor("b", "f32", [1])];
  for (let round = 0; round < 10; round++) {
    add(gpu, a, 1, b);
    add(gpu, b, 1, a);
  }
  assertEquals(await gpu.readF32(a), Float32Array.of(20));
});

ownGpuTest("Gpu.run() goes on past 512 calls between two reads", async (gpu) => {
  const [a, b] = [gpu.upload("a", Float32Array.of(0)), gpu.tensor("b", "f32", [1])];
  for (let round = 0; round < 257; round++) {
    add(gpu, a, 1, b);
    add(gpu, b, 1, a);
  }
  assertEquals(await gpu.readF32(a), Float32Array.of(514));
  assertEquals(gpu.counts, { submits: 2, dispatches: 514 });
});

ownGpuTest(
  "Gpu.copy() puts a tensor of any size at the beginning of a larger one, in the order of calls",
  async (gpu) => {
    // More rows than a dimension has workgroups.
    const rows = 70_000, ones = new Float32Array(rows).fill(1);
    const from = gpu.upload("from", ones, [rows, 1]);
    const to = gpu.upload("to", new Float32Array(rows + 4).fill(2), [rows + 4, 1]);
    gpu.copy(from, to);
    gpu.clear(from);
    assertEquals(await gpu.readF32(to), Float32Array.of(...ones, 2, 2, 2, 2));
    gpu.free(from, to);
  },
);

ownGpuTest("Gpu.run() of 0 workgroups starts nothing", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(3)), none = gpu.tensor("none", "f32", [0]);
  add(gpu, x, 1, none);
  await gpu.finish();
  assertEquals(gpu.counts, { submits: 0, dispatches: 0 });
});

ownGpuTest("Gpu.run() of the most workgroups a dimension has runs them all", async (gpu) => {
  const count = 64 * gpu.device.limits.maxComputeWorkgroupsPerDimension;
  const x = gpu.tensor("x", "f32", [count]), y = gpu.tensor("y", "f32", [count]);
  gpu.clear(x);
  add(gpu, x, 1, y);
  const last = { ...y, shape: [1], offset: 4 * (count - 1) };
  assertEquals(await gpu.readF32(last), Float32Array.of(1));
});

ownGpuTest(
  "Gpu.run() refuses one workgroup more than a dimension has, naming kernel and limit",
  async (gpu) => {
    const limit = gpu.device.limits.maxComputeWorkgroupsPerDimension, count = 64 * limit + 1;
    const x = gpu.tensor("x", "f32", [count]), y = gpu.tensor("y", "f32", [count]);
    const error = assertThrows(
      () => add(gpu, x, 1, y),
      UserError,
      `Cannot run shift: it needs [${limit + 1},1,1]`,
    );
    assertStringIncludes(error.message, `at most ${limit} in a dimension`);
    assertEquals(error.kind, "adapter");
    await gpu.finish();
  },
);

ownGpuTest("Gpu.run() checks the call before it records it", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(3));
  assertThrows(
    () => gpu.run(shift, { params: { count: 2, value: 1 }, buffers: { x, y: x } }),
    UserError,
    '"x" has 1 values',
  );
  await gpu.finish();
  assertEquals(gpu.counts.dispatches, 0);
});

ownGpuTest("Gpu.read() takes any number of tensors in one submission", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1, 2, 3)), y = gpu.tensor("y", "f32", [3]);
  const ids = gpu.upload("ids", Uint32Array.of(7)), none = gpu.tensor("none", "u32", [0, 4]);
  add(gpu, x, 1, y);
  const values = await gpu.read(y, none, ids, x);
  assertEquals(values, [
    Float32Array.of(2, 3, 4),
    new Uint32Array(),
    Uint32Array.of(7),
    Float32Array.of(1, 2, 3),
  ]);
  assertEquals(gpu.counts, { submits: 1, dispatches: 1 });
});

ownGpuTest("Gpu.read() of empty tensors sends nothing", async (gpu) => {
  assertEquals(await gpu.read(gpu.tensor("none", "f32", [0]), gpu.tensor("ids", "u32", [0])), [
    new Float32Array(),
    new Uint32Array(),
  ]);
  assertEquals(gpu.counts.submits, 0);
});

ownGpuTest("Gpu.read() gives the words that hold an odd number of bf16", async (gpu) => {
  const weight = gpu.tensor("weight", "bf16", [3]);
  gpu.write(weight, Uint16Array.of(1, 2, 3, 4));
  assertEquals(await gpu.read(weight), [Uint32Array.of(1 + 2 * 65536, 3 + 4 * 65536)]);
});

ownGpuTest(
  "Gpu.read() gives the values as they are when it is called, not when it is awaited",
  async (gpu) => {
    const x = gpu.upload("x", Float32Array.of(1));
    const before = gpu.readF32(x);
    gpu.write(x, Float32Array.of(2));
    assertEquals([await before, await gpu.readF32(x)], [Float32Array.of(1), Float32Array.of(2)]);
  },
);

ownGpuTest("Gpu.read() may be called again before the first is done", async (gpu) => {
  const small = gpu.upload("small", Float32Array.of(1));
  const large = gpu.upload("large", new Float32Array(10000).fill(2));
  for (let round = 0; round < 3; round++) {
    const [a, b, c] = await Promise.all([gpu.readF32(small), gpu.readF32(large), gpu.readF32(small)]);
    assertEquals([a[0], b.length, b[9999], c[0]], [1, 10000, 2, 1]);
  }
});

ownGpuTest(
  "Gpu.write() changes a tensor after the calls recorded before it and before those after",
  async (gpu) => {
    const x = gpu.upload("x", Float32Array.of(1)),
      a = gpu.tensor("a", "f32", [1]),
      b = gpu.tensor("b", "f32", [1]);
    add(gpu, x, 0, a);
    gpu.write(x, Float32Array.of(2));
    add(gpu, x, 0, b);
    assertEquals(await gpu.read(a, b), [Float32Array.of(1), Float32Array.of(2)]);
  },
);

ownGpuTest("Gpu.write() replaces from the byte it is told", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1, 2, 3));
  gpu.write(x, Float32Array.of(9), 4);
  gpu.write(x, new Float32Array(), 4);
  assertEquals(await gpu.readF32(x), Float32Array.of(1, 9, 3));
});

ownGpuTest(
  "Gpu.clear() sets a tensor to zero in the order of the calls, and no more than it",
  async (gpu) => {
    const x = gpu.upload("x", Float32Array.of(1, 2, 3)), y = gpu.tensor("y", "f32", [3]);
    add(gpu, x, 0, y);
    gpu.clear({ ...x, shape: [1], offset: 4 });
    assertEquals(await gpu.read(x, y), [Float32Array.of(1, 0, 3), Float32Array.of(1, 2, 3)]);
  },
);

ownGpuTest(
  "Gpu.clear() of a quantised tensor clears its scales, without which its codes are not zero",
  async (gpu) => {
    const weight = gpu.tensor("weight", "int4", [1, 32]);
    gpu.write(weight, new Uint32Array(4).fill(7));
    gpu.write(weight.scales!, new Uint16Array(2).fill(7));
    gpu.clear(weight);
    assertEquals(await gpu.read(weight, weight.scales!), [new Uint32Array(4), new Uint32Array(1)]);
  },
);

ownGpuTest("Gpu.free() gives memory back that the next tensor of the size gets", async (gpu) => {
  const first = gpu.tensor("first", "f32", [10]);
  gpu.free(first);
  const second = gpu.tensor("second", "f32", [12]);
  assertEquals(second.buffer, first.buffer);
  assertEquals(gpu.liveTensors, ["second"]);
  await gpu.finish();
});

ownGpuTest("Gpu.free() lets calls recorded before it use the memory still", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1)), y = gpu.tensor("y", "f32", [1]);
  add(gpu, x, 1, y);
  gpu.free(x);
  const reused = gpu.upload("reused", Float32Array.of(50));
  assertEquals(reused.buffer, x.buffer);
  assertEquals(await gpu.readF32(y), Float32Array.of(2));
});

ownGpuTest("Gpu.free() refuses a tensor that was freed before", async (gpu) => {
  const x = gpu.tensor("x", "f32", [1]);
  gpu.free(x);
  assertThrows(() => gpu.free(x), UserError, 'Cannot release buffer "x"');
  await gpu.finish();
});

ownGpuTest("Gpu.trim() destroys freed memory, and calls that used it still run", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1)), y = gpu.tensor("y", "f32", [1]);
  add(gpu, x, 1, y);
  gpu.free(x);
  const before = gpu.bytes;
  gpu.trim();
  assertEquals(gpu.bytes, before - x.buffer.size);
  assertEquals(await gpu.readF32(y), Float32Array.of(2));
});

ownGpuTest("Gpu.trim() forgets how the memory was bound, so that a new buffer is bound anew", async (gpu) => {
  const y = gpu.tensor("y", "f32", [1]);
  for (const value of [1, 2]) {
    const x = gpu.upload("x", Float32Array.of(value));
    add(gpu, x, 0, y);
    gpu.free(x);
    gpu.trim();
    assertEquals(await gpu.readF32(y), Float32Array.of(value));
  }
});

ownGpuTest("Gpu.tensor() refuses more than the adapter binds, naming tensor and bytes", async (gpu) => {
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  const error = assertThrows(
    () => gpu.tensor("logits", "f32", [limit / 4 + 1]),
    UserError,
    'Cannot allocate "logits"',
  );
  assertStringIncludes(error.what, `binds at most ${limit}`);
  assertEquals(error.kind, "adapter");
  await gpu.finish();
});

ownGpuTest("Gpu.finish() throws what the GPU refused, naming the kernels in question", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1));
  add(gpu, x, 1, x);
  const error = await assertRejects(() => gpu.finish(), UserError, "The GPU refused its work");
  assertEquals([error.where, error.kind], ["one of the kernels shift", "internal"]);
});

ownGpuTest("Gpu.read() throws what the GPU refused, too", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1));
  add(gpu, x, 1, x);
  await assertRejects(() => gpu.readF32(x), UserError, "The GPU refused its work");
});

ownGpuTest("Gpu.flush() throws what went wrong before", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1)), y = gpu.tensor("y", "f32", [1]);
  add(gpu, x, 1, x);
  await assertRejects(() => gpu.finish(), UserError);
  add(gpu, x, 1, y);
  assertThrows(() => gpu.flush(), UserError, "The GPU refused its work");
});

ownGpuTest("Gpu.trim() gives memory back after the GPU refused its work, without hiding why", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1)), before = gpu.bytes;
  add(gpu, x, 1, x);
  await assertRejects(() => gpu.finish(), UserError);
  add(gpu, x, 1, x);
  gpu.free(x);
  gpu.trim();
  assertEquals(gpu.bytes, before - x.buffer.size);
});

ownGpuTest("Gpu.read() throws the compiler's message rather than what follows from it", async (gpu) => {
  const broken = defineKernel({
    ...shift,
    source: { file: "tests/broken.wgsl", text: "fn shift() {\n  let a = unknown;\n}" },
  });
  const x = gpu.upload("x", Float32Array.of(1)), y = gpu.tensor("y", "f32", [1]);
  gpu.run(broken, { params: { count: 1, value: 1 }, buffers: { x, y } });
  const error = await assertRejects(() => gpu.readF32(y), UserError, "Cannot compile shift");
  assertMatch(error.where, /^tests\/broken\.wgsl:2/);
});

deviceTest(
  "Gpu.finish() tells running out of memory from other errors, and what to do",
  async ({ device, adapter }) => {
    const popErrorScope = async () => {
      await device.popErrorScope();
      return new GPUOutOfMemoryError("no memory left");
    };
    const gpu = new Gpu(altered(device, { popErrorScope }), adapter);
    const x = gpu.upload("x", Float32Array.of(1)), y = gpu.tensor("y", "f32", [1]);
    add(gpu, x, 1, y);
    const error = await assertRejects(() => gpu.finish(), UserError, "Out of GPU memory: no memory left");
    assertEquals([error.kind, error.where], ["adapter", "one of the kernels shift"]);
    assertStringIncludes(error.fix, "--batch-size");
    gpu.destroy();
  },
);

deviceTest("Gpu.finish() says that the device was lost", async ({ device, adapter }) => {
  const lost = Promise.resolve({ reason: "unknown", message: "the driver was reset" });
  const gpu = new Gpu(altered(device, { lost }), adapter);
  await lost;
  const x = gpu.upload("x", Float32Array.of(1));
  const error = await assertRejects(() => gpu.finish(), UserError, "The GPU was lost: the driver was reset");
  assertEquals(error.kind, "adapter");
  await assertRejects(() => gpu.readF32(x), UserError, "The GPU was lost");
  gpu.destroy();
});

deviceTest(
  "Gpu.read() says that the device was lost where somebody else destroyed it",
  async ({ device, adapter }) => {
    const gpu = new Gpu(device, adapter);
    const x = gpu.upload("x", Float32Array.of(1));
    device.destroy();
    await assertRejects(() => gpu.readF32(x), UserError, "The GPU was lost");
    gpu.destroy();
  },
);

deviceTest(
  "Gpu.finish() says that the device was lost rather than what follows from it",
  async ({ device, adapter }) => {
    const gpu = new Gpu(device, adapter);
    const x = gpu.upload("x", Float32Array.of(1)), y = gpu.tensor("y", "f32", [1]);
    device.destroy();
    add(gpu, x, 1, y);
    await assertRejects(() => gpu.finish(), UserError, "The GPU was lost");
    gpu.destroy();
  },
);

deviceTest("Gpu.destroy() is not an error of the device", async ({ device, adapter }) => {
  const gpu = new Gpu(device, adapter);
  gpu.upload("x", Float32Array.of(1));
  gpu.destroy();
  assertEquals([(await device.lost).reason, gpu.bytes, gpu.liveTensors], ["destroyed", 0, []]);
});

ownGpuTest("Gpu.profile() gives time and calls by kernel, and no more once it is over", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1)), y = gpu.tensor("y", "f32", [1]);
  const work = async () => {
    add(gpu, x, 1, y);
    gpu.flush();
    add(gpu, x, 2, y);
    await gpu.finish();
  };
  const times = await gpu.profile(work);
  const measured = gpu.device.features.has("timestamp-query");
  assertEquals([...times].map(([kernel, { calls }]) => [kernel, calls]), measured ? [["shift", 2]] : []);
  assertNotEquals(times.get("shift")?.nanoseconds, measured ? 0 : 1);
  await work();
  assertEquals(times.get("shift")?.calls, measured ? 2 : undefined);
  assertEquals(await gpu.readF32(y), Float32Array.of(3));
});

ownGpuTest("Gpu.profile() throws what its work throws, and goes on without measuring", async (gpu) => {
  const x = gpu.upload("x", Float32Array.of(1)), y = gpu.tensor("y", "f32", [1]);
  await assertRejects(() => gpu.profile(() => Promise.reject(new Error("stopped"))), Error, "stopped");
  add(gpu, x, 1, y);
  assertEquals(await gpu.readF32(y), Float32Array.of(2));
});
