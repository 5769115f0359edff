import { setImmediate } from "node:timers";

/**
 * Copies bytes from the GPU without Deno's wait.
 *
 * Awaiting `mapAsync` sleeps 10 ms in Deno whatever the GPU does (ext/webgpu/buffer.rs). The call itself, though,
 * blocks until the queue is idle, so after it returns the mapping is complete and `getMappedRange` may be called at
 * once, as long as the buffer was mapped once in the awaited way before. Where that ever stops being true,
 * `getMappedRange` throws and the mapping is awaited.
 */
export class Readback {
  readonly #device: GPUDevice;
  readonly #mappedBefore = new WeakSet<GPUBuffer>();
  #idle?: GPUBuffer;
  #synchronous = true;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A buffer of at least `bytes` bytes to copy into; it is the caller's until {@linkcode Readback.read} took them. */
  staging(bytes: number): GPUBuffer {
    const idle = this.#idle;
    this.#idle = undefined;
    if (idle && idle.size >= bytes) return idle;
    idle?.destroy();
    const size = Math.max(4096, 2 ** Math.ceil(Math.log2(bytes)));
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ label: "readback", size, usage });
  }

  /** The first `bytes` bytes of a staging buffer, once the queue has filled it. */
  async read(staging: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    // Nothing below gives way to the event loop, so without this turn of it no signal would be heard between reads.
    await new Promise<void>((resolve) => setImmediate(resolve));
    const mapped = staging.mapAsync(GPUMapMode.READ, 0, bytes);
    mapped.catch(() => {});
    if (this.#synchronous && this.#mappedBefore.has(staging)) {
      try {
        return this.#take(staging, bytes);
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
        this.#synchronous = false;
      }
    }
    await mapped;
    this.#mappedBefore.add(staging);
    return this.#take(staging, bytes);
  }

  /** Frees the buffer that waits for the next read. */
  destroy(): void {
    this.#idle?.destroy();
    this.#idle = undefined;
  }

  #take(staging: GPUBuffer, bytes: number): ArrayBuffer {
    const copy = staging.getMappedRange(0, bytes).slice(0);
    staging.unmap();
    if (this.#idle) staging.destroy();
    else this.#idle = staging;
    return copy;
  }
}
