import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { BufferPool, sizeClass } from "../../kernels/buffer_pool.ts";

/** A device that makes buffers of nothing, and remembers which were destroyed. */
function fakeDevice(maxStorageBufferBindingSize = 4096): { device: GPUDevice; destroyed: string[] } {
  const destroyed: string[] = [];
  const createBuffer = ({ label, size }: GPUBufferDescriptor) => ({
    label,
    size,
    destroy: () => destroyed.push(label!),
  });
  return {
    device: { limits: { maxStorageBufferBindingSize }, createBuffer } as unknown as GPUDevice,
    destroyed,
  };
}

Deno.test("sizeClass() is a multiple of 256 bytes, at least one", () => {
  assertEquals([0, 1, 255, 256].map(sizeClass), [256, 256, 256, 256]);
  assertEquals(sizeClass(257), 512);
});

Deno.test("sizeClass() wastes at most a quarter of a large buffer", () => {
  for (const bytes of [10_001, 123_457, 1_000_003, 99_999_999]) {
    const size = sizeClass(bytes);
    assert(size >= bytes && size <= 1.25 * bytes + 256, `${size} bytes for ${bytes}`);
    assertEquals(size % 256, 0);
    assertEquals(sizeClass(size), size);
  }
});

Deno.test("BufferPool.acquire() hands out the buffer of the size released last", () => {
  const pool = new BufferPool(fakeDevice().device);
  const [a, b, c] = [pool.acquire("a", 100), pool.acquire("b", 200), pool.acquire("c", 300)];
  [a, b, c].forEach((buffer) => pool.release(buffer));
  assertEquals(pool.acquire("next", 256), b);
  assertEquals(pool.acquire("after", 1), a);
  assertNotEquals(pool.acquire("new", 1), c);
});

Deno.test("BufferPool.acquire() of an exact size takes no more than the next multiple of 256 bytes", () => {
  const pool = new BufferPool(fakeDevice(100_000).device);
  const sizes = [0, 1, 256, 257, 50_000].map((bytes) => pool.acquire("weights", bytes, true).size);
  assertEquals(sizes, [256, 256, 256, 512, 50_176]);
  assertEquals(pool.acquire("batch", 50_000).size > 50_176, true);
});

Deno.test("BufferPool.acquire() never hands a buffer out twice", () => {
  const pool = new BufferPool(fakeDevice().device);
  assertNotEquals(pool.acquire("a", 100), pool.acquire("b", 100));
});

Deno.test("BufferPool.acquire() makes a buffer of what the adapter binds at most", () => {
  const pool = new BufferPool(fakeDevice(4096).device);
  assertEquals(pool.acquire("all", 4096).size, 4096);
});

Deno.test("BufferPool.acquire() refuses a byte more than the adapter binds, with both numbers", () => {
  const pool = new BufferPool(fakeDevice(4096).device);
  const error = assertThrows(() => pool.acquire("logits", 4097), UserError);
  assertEquals(
    [error.what, error.kind],
    ['Cannot allocate "logits": 4097 bytes in one buffer, but this adapter binds at most 4096', "adapter"],
  );
  assertEquals([pool.bytes, pool.live], [0, []]);
});

Deno.test("BufferPool.release() refuses a buffer that is not handed out", () => {
  const pool = new BufferPool(fakeDevice().device);
  const buffer = pool.acquire("x", 1);
  pool.release(buffer);
  const error = assertThrows(() => pool.release(buffer), UserError, 'Cannot release buffer "x"');
  assertEquals(error.kind, "internal");
});

Deno.test("BufferPool.live names the buffers handed out by their last label", () => {
  const pool = new BufferPool(fakeDevice().device);
  pool.release(pool.acquire("first", 1));
  pool.acquire("second", 1);
  assertEquals(pool.live, ["second"]);
});

Deno.test("BufferPool.bytes counts buffers whether they are handed out or wait", () => {
  const pool = new BufferPool(fakeDevice().device);
  const buffer = pool.acquire("x", 1);
  pool.acquire("y", 300);
  assertEquals(pool.bytes, 256 + 512);
  pool.release(buffer);
  assertEquals(pool.bytes, 256 + 512);
});

Deno.test("BufferPool.trim() destroys the buffers that wait, tells so, and keeps the others", () => {
  const { device, destroyed } = fakeDevice(), forgotten: GPUBuffer[] = [];
  const pool = new BufferPool(device, (buffer) => forgotten.push(buffer));
  const waiting = pool.acquire("waiting", 1);
  pool.acquire("held", 1);
  pool.release(waiting);
  pool.trim();
  assertEquals([destroyed, forgotten, pool.live, pool.bytes], [["waiting"], [waiting], ["held"], 256]);
  assertNotEquals(pool.acquire("new", 1), waiting);
});

Deno.test("BufferPool.destroy() destroys every buffer once", () => {
  const { device, destroyed } = fakeDevice();
  const pool = new BufferPool(device);
  pool.release(pool.acquire("waiting", 1));
  pool.acquire("held", 300);
  pool.destroy();
  pool.destroy();
  assertEquals([destroyed, pool.live, pool.bytes], [["waiting", "held"], [], 0]);
});
