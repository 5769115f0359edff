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
  #staging?: GPUBuffer;
  #synchronous = true;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A buffer of at least `bytes` bytes to copy into before {@linkcode Readback.read}. */
  async staging(bytes: number): Promise<GPUBuffer> {
    if (this.#staging && this.#staging.size >= bytes) return this.#staging;
    this.#staging?.destroy();
    const size = Math.max(4096, 2 ** Math.ceil(Math.log2(bytes)));
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const buffer = this.#device.createBuffer({ label: "readback", size, usage });
    await buffer.mapAsync(GPUMapMode.READ, 0, 4);
    buffer.unmap();
    this.#staging = buffer;
    return buffer;
  }

  /** The first `bytes` bytes of the staging buffer, once the queue has filled it. */
  async read(bytes: number): Promise<ArrayBuffer> {
    const buffer = this.#staging!;
    const mapped = buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    mapped.catch(() => {});
    if (this.#synchronous) {
      try {
        return this.#take(buffer, bytes);
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
        this.#synchronous = false;
      }
    }
    await mapped;
    return this.#take(buffer, bytes);
  }

  destroy(): void {
    this.#staging?.destroy();
  }

  #take(buffer: GPUBuffer, bytes: number): ArrayBuffer {
    const copy = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    return copy;
  }
}
