/** Timestamps a query set can hold: WebGPU's limit. */
const MAX_TIMESTAMPS = 4096;

/** Measures how long each kernel call takes on the GPU, each in a pass of its own. */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #readable: GPUBuffer;
  readonly #names: string[] = [];

  /** A profiler, or `undefined` where the device has no timestamps. */
  static create(device: GPUDevice): Profiler | undefined {
    return device.features.has("timestamp-query") ? new Profiler(device) : undefined;
  }

  private constructor(device: GPUDevice) {
    const size = 8 * MAX_TIMESTAMPS;
    this.#device = device;
    this.#queries = device.createQuerySet({ label: "profiler", type: "timestamp", count: MAX_TIMESTAMPS });
    this.#resolved = device.createBuffer({
      label: "profiler",
      size,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.#readable = device.createBuffer({
      label: "profiler readback",
      size,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
  }

  /** Where the next pass writes its timestamps; `undefined` once all are used. */
  next(name: string): GPUComputePassTimestampWrites | undefined {
    const first = 2 * this.#names.length;
    if (first === MAX_TIMESTAMPS) return undefined;
    this.#names.push(name);
    return { querySet: this.#queries, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
  }

  /** Time and number of calls by kernel. */
  async results(): Promise<Map<string, { nanoseconds: number; calls: number }>> {
    const totals = new Map<string, { nanoseconds: number; calls: number }>();
    const count = 2 * this.#names.length;
    if (count === 0) return totals;
    const encoder = this.#device.createCommandEncoder({ label: "profiler" });
    encoder.resolveQuerySet(this.#queries, 0, count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#readable, 0, 8 * count);
    this.#device.queue.submit([encoder.finish()]);
    await this.#readable.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(this.#readable.getMappedRange(0, 8 * count).slice(0));
    this.#readable.unmap();
    this.#names.forEach((name, index) => {
      const total = totals.get(name) ?? { nanoseconds: 0, calls: 0 };
      total.nanoseconds += Number(times[2 * index + 1] - times[2 * index]);
      total.calls++;
      totals.set(name, total);
    });
    return totals;
  }

  destroy(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#readable.destroy();
  }
}
