import { UserError } from "../core/errors.ts";

/** Smallest buffer handed out, and the granularity of all sizes; a multiple of every alignment WebGPU asks for. */
const GRAIN_BYTES = 256;

const USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;

/** Rounds up to a size class, so that batches of nearly the same length find each other's buffers again. */
export function sizeClass(bytes: number): number {
  let size = GRAIN_BYTES;
  while (size < bytes) size = Math.ceil(size * 1.25 / GRAIN_BYTES) * GRAIN_BYTES;
  return size;
}

/**
 * Storage buffers that are handed out, given back and handed out again.
 *
 * JavaScript's garbage collector does not see GPU memory, so a buffer lives until it is released here and is
 * destroyed with the pool. The last buffer released is the first handed out: a step that asks in the same order
 * gets the same buffers, and so finds its bind groups in the cache.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #free = new Map<number, GPUBuffer[]>();
  readonly #live = new Map<GPUBuffer, string>();
  readonly #onDestroy: (buffer: GPUBuffer) => void;
  #bytes = 0;

  /** An empty pool on a device; `onDestroy` hears of each buffer that is about to go. */
  constructor(device: GPUDevice, onDestroy: (buffer: GPUBuffer) => void = () => {}) {
    this.#device = device;
    this.#onDestroy = onDestroy;
  }

  /** Bytes of all buffers, handed out or waiting. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Labels of the buffers that are handed out now. */
  get live(): readonly string[] {
    return [...this.#live.values()];
  }

  /**
   * A storage buffer of at least `bytes` bytes, its contents undefined; with `exact` of no more than that, for what
   * stays, such as weights: a size class takes an eighth more on average.
   */
  acquire(label: string, bytes: number, exact = false): GPUBuffer {
    const limit = this.#device.limits.maxStorageBufferBindingSize;
    if (bytes > limit) {
      throw new UserError({
        kind: "adapter",
        what:
          `Cannot allocate "${label}": ${bytes} bytes in one buffer, but this adapter binds at most ${limit}`,
        where: "GPU buffer pool",
        fix: "use a smaller batch or a smaller model, or an adapter that binds larger buffers",
      });
    }
    const needed = Math.max(GRAIN_BYTES, Math.ceil(bytes / GRAIN_BYTES) * GRAIN_BYTES);
    const size = Math.min(exact ? needed : sizeClass(bytes), limit);
    const buffer = this.#free.get(size)?.pop() ?? this.#create(label, size);
    this.#live.set(buffer, label);
    return buffer;
  }

  /** Gives a buffer back. Work already recorded may still use it: the queue keeps the order. */
  release(buffer: GPUBuffer): void {
    const label = this.#live.get(buffer);
    if (label === undefined) {
      throw new UserError({
        kind: "internal",
        what: `Cannot release buffer "${buffer.label}": it is not handed out`,
        where: "GPU buffer pool",
        fix: "release every tensor exactly once",
      });
    }
    this.#live.delete(buffer);
    const waiting = this.#free.get(buffer.size);
    if (waiting) waiting.push(buffer);
    else this.#free.set(buffer.size, [buffer]);
  }

  /** Destroys the buffers nobody holds. */
  trim(): void {
    for (const buffers of this.#free.values()) buffers.forEach((buffer) => this.#destroy(buffer));
    this.#free.clear();
  }

  /** Destroys every buffer, handed out or not. */
  destroy(): void {
    this.trim();
    for (const buffer of this.#live.keys()) this.#destroy(buffer);
    this.#live.clear();
  }

  #create(label: string, size: number): GPUBuffer {
    this.#bytes += size;
    return this.#device.createBuffer({ label, size, usage: USAGE });
  }

  #destroy(buffer: GPUBuffer): void {
    this.#bytes -= buffer.size;
    this.#onDestroy(buffer);
    buffer.destroy();
  }
}
