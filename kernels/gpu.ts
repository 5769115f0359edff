import { UserError } from "../core/errors.ts";
import { BufferPool } from "./buffer_pool.ts";
import { type AdapterSummary, type DeviceOptions, openDevice } from "./device.ts";
import { checkCall, checkWorkgroups, type Kernel, type KernelCall } from "./kernel.ts";
import { type Pipeline, PipelineCache, SCALES_BINDING } from "./pipeline_cache.ts";
import { Profiler } from "./profiler.ts";
import { Readback } from "./readback.ts";
import { byteLength, type DType, scalesOf, type Tensor } from "./tensor.ts";

/** Bytes of one call's parameters; the default of WebGPU's `minUniformBufferOffsetAlignment`. */
const PARAM_SLOT_BYTES = 256;

/** Recorded calls are sent to the GPU at the latest after this many, so that it need not wait for the host. */
const MAX_RECORDED = 512;

/** Always open, from one submission to the next, so that no call on the device escapes them. */
const ERROR_SCOPES: readonly GPUErrorFilter[] = ["validation", "out-of-memory", "internal"];

interface Dispatch {
  readonly pipeline: Pipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

interface Clear {
  readonly clear: Tensor;
}

interface Copy {
  readonly from: Tensor;
  readonly to: GPUBuffer;
  readonly toOffset: number;
  readonly bytes: number;
}

/**
 * A GPU that runs kernels.
 *
 * Calls are recorded and sent together: one encoder, one compute pass and one upload of parameters for all calls up
 * to the next {@linkcode Gpu.read}. Pipelines are compiled once, bind groups are cached by the buffers they bind.
 * The `GPUDevice` underneath is public, so the engine can share it with other code.
 */
export class Gpu {
  /** The device underneath; work submitted to its queue runs between what is flushed here. */
  readonly device: GPUDevice;
  /** What the device was opened on. */
  readonly adapter: AdapterSummary;
  /** Submissions and kernel calls so far. */
  readonly counts = { submits: 0, dispatches: 0 };
  readonly #pool: BufferPool;
  readonly #pipelines: PipelineCache;
  readonly #readback: Readback;
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #bufferIds = new Map<GPUBuffer, number>();
  readonly #checks: Promise<void>[] = [];
  #nextBufferId = 0;
  #recorded: (Dispatch | Clear | Copy)[] = [];
  #dispatches = 0;
  readonly #params = new ArrayBuffer(MAX_RECORDED * PARAM_SLOT_BYTES);
  readonly #paramBuffer: GPUBuffer;
  #profiler?: Profiler;
  #failure?: UserError;
  #lost?: UserError;
  #destroyed = false;

  /** Opens the best adapter there is; see {@linkcode openDevice}. */
  static async open(options: DeviceOptions = {}): Promise<Gpu> {
    const { device, adapter } = await openDevice(options);
    return new Gpu(device, adapter);
  }

  /** Runs on any device; Deno's own is what {@linkcode Gpu.open} gives. */
  constructor(device: GPUDevice, adapter: AdapterSummary) {
    this.device = device;
    this.adapter = adapter;
    this.#pool = new BufferPool(device, (buffer) => this.#forget(buffer));
    this.#pipelines = new PipelineCache(device, adapter);
    this.#readback = new Readback(device);
    ERROR_SCOPES.forEach((scope) => device.pushErrorScope(scope));
    this.#paramBuffer = device.createBuffer({
      label: "params",
      size: this.#params.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    device.lost.then(({ message }) => {
      if (this.#destroyed) return;
      this.#lost = new UserError({
        kind: "adapter",
        what: `The GPU was lost: ${message}`,
        where: "GPU queue",
        fix: "rerun the command: it goes on where it was",
      });
    });
  }

  /** Bytes of GPU memory held in tensors, in use or pooled. */
  get bytes(): number {
    return this.#pool.bytes;
  }

  /** Labels of tensors that were allocated and not freed. */
  get liveTensors(): readonly string[] {
    return this.#pool.live;
  }

  /**
   * A tensor with undefined contents, if it is quantised with scales of undefined contents; {@linkcode Gpu.free} gives
   * its memory back. One that is to stay takes its `exact` size, others that of a class which finds reuse.
   */
  tensor(label: string, dtype: DType, shape: readonly number[], exact = false): Tensor {
    const buffer = this.#pool.acquire(label, byteLength(dtype, shape), exact);
    const tensor = { label, dtype, shape, buffer, offset: 0 };
    const scales = scalesOf(dtype, shape);
    return scales
      ? { ...tensor, scales: this.tensor(`${label} scales`, scales.dtype, scales.shape, exact) }
      : tensor;
  }

  /** A tensor with the given contents: `f32` from a `Float32Array`, `u32` from a `Uint32Array`. */
  upload(
    label: string,
    data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
    shape: readonly number[] = [data.length],
  ): Tensor {
    const tensor = this.tensor(label, data instanceof Float32Array ? "f32" : "u32", shape);
    this.write(tensor, data);
    return tensor;
  }

  /** Replaces the contents of a tensor, from `byteOffset` on, after everything recorded so far. */
  write(tensor: Tensor, data: ArrayBufferView<ArrayBuffer>, byteOffset = 0): void {
    if (this.#recorded.length > 0) this.flush();
    if (data.byteLength > 0) this.device.queue.writeBuffer(tensor.buffer, tensor.offset + byteOffset, data);
  }

  /** Gives tensors and their scales back to the pool. Calls recorded before may still use them. */
  free(...tensors: readonly Tensor[]): void {
    for (const { buffer, scales } of tensors) {
      this.#pool.release(buffer);
      if (scales) this.free(scales);
    }
  }

  /** Destroys pooled memory that nobody uses. */
  trim(): void {
    // What a broken GPU was still to do it will not do.
    if (!this.#lost && !this.#failure) this.flush();
    this.#pool.trim();
  }

  /** Records one call of a kernel. */
  run<P extends string, B extends string, C extends string>(
    kernel: Kernel<P, B, C>,
    call: KernelCall<P, B, C>,
  ): void {
    checkCall(kernel, call);
    const packed = kernel.packed === undefined ? undefined : call.buffers[kernel.packed];
    const pipeline = this.#pipelines.get(kernel as unknown as Kernel, call.constants ?? {}, packed?.dtype);
    const workgroups = kernel.workgroups(call.params, pipeline.constants as Record<C | "lanes", number>);
    if (workgroups.includes(0)) return;
    checkWorkgroups(kernel, workgroups, this.device.limits.maxComputeWorkgroupsPerDimension);
    this.#writeParams(kernel as unknown as Kernel, call.params);
    const tensors = kernel.bufferNames.map((name) => call.buffers[name]);
    const bindGroup = this.#bindGroup(pipeline, tensors, packed?.scales);
    this.#recorded.push({ pipeline, bindGroup, workgroups });
    this.#dispatches++;
    if (this.#recorded.length >= MAX_RECORDED) this.flush();
  }

  /** Records setting a tensor to zero. */
  clear(tensor: Tensor): void {
    this.#recorded.push({ clear: tensor });
    if (tensor.scales) this.clear(tensor.scales);
  }

  /** Records copying a tensor to the beginning of another, which is at least as large. */
  copy(from: Tensor, { buffer: to, offset: toOffset }: Tensor): void {
    this.#recorded.push({ from, to, toOffset, bytes: wordBytes(from) });
  }

  /** Sends everything recorded to the GPU, without waiting for it. */
  flush(): void {
    const failure = this.#lost ?? this.#failure;
    if (failure) throw failure;
    if (this.#recorded.length === 0) return;
    if (this.#dispatches > 0) {
      this.device.queue.writeBuffer(
        this.#paramBuffer,
        0,
        this.#params,
        0,
        this.#dispatches * PARAM_SLOT_BYTES,
      );
    }
    this.device.queue.submit([this.#encode()]);
    const labels = this.#recorded.flatMap((item) => "pipeline" in item ? [item.pipeline.label] : []);
    this.counts.submits++;
    this.counts.dispatches += this.#dispatches;
    this.#recorded = [];
    this.#dispatches = 0;
    for (const _ of ERROR_SCOPES) {
      this.#checks.push(this.device.popErrorScope().then((error) => this.#note(error, [...new Set(labels)])));
    }
    ERROR_SCOPES.forEach((scope) => this.device.pushErrorScope(scope));
  }

  /**
   * The values of some tensors, as they are after everything recorded so far, in one trip; those smaller than 32 bits
   * as the words that hold them.
   */
  async read(
    ...tensors: readonly Tensor[]
  ): Promise<(Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>)[]> {
    const sizes = tensors.map(wordBytes);
    const starts: number[] = [];
    const total = sizes.reduce((end, size) => (starts.push(end), end + size), 0);
    if (total === 0) {
      return tensors.map(({ dtype }) => dtype === "f32" ? new Float32Array() : new Uint32Array());
    }
    const staging = this.#readback.staging(total);
    tensors.forEach((from, index) => {
      if (sizes[index] === 0) return;
      this.#recorded.push({ from, to: staging, toOffset: starts[index], bytes: sizes[index] });
    });
    this.flush();
    const data = await this.#readback.read(staging, total).catch(async (error) => {
      throw await this.#causeOf(error);
    });
    await this.#check();
    return tensors.map(({ dtype }, index) => {
      const bytes = data.slice(starts[index], starts[index] + sizes[index]);
      return dtype === "f32" ? new Float32Array(bytes) : new Uint32Array(bytes);
    });
  }

  /** The values of an `f32` tensor. */
  async readF32(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
    const [values] = await this.read(tensor);
    return values as Float32Array<ArrayBuffer>;
  }

  /** Waits until the GPU has done everything, and throws what went wrong on the way. */
  async finish(): Promise<void> {
    this.flush();
    // Writes alone are sent with the next submission, so there has to be one.
    this.device.queue.submit([]);
    // The call itself blocks until the queue is idle; its promise would sleep 10 ms more (see Readback).
    this.device.queue.onSubmittedWorkDone().catch(() => {});
    await this.#check();
  }

  /**
   * Measures GPU time by kernel while `work` runs.
   *
   * @returns nanoseconds and number of calls by kernel; empty where the adapter has no timestamps
   */
  async profile(work: () => Promise<void>): Promise<Map<string, { nanoseconds: number; calls: number }>> {
    await this.finish();
    this.#profiler = Profiler.create(this.device);
    try {
      await work();
      await this.finish();
      return await this.#profiler?.results() ?? new Map();
    } finally {
      this.#profiler?.destroy();
      this.#profiler = undefined;
    }
  }

  /** Frees everything, the device included. */
  destroy(): void {
    this.#destroyed = true;
    this.#recorded = [];
    this.#readback.destroy();
    this.#pool.destroy();
    this.#paramBuffer.destroy();
    this.device.destroy();
  }

  #note(error: GPUError | null, kernels: readonly string[]): void {
    if (!error) return;
    const memory = error instanceof GPUOutOfMemoryError;
    this.#failure ??= new UserError({
      kind: memory ? "adapter" : "internal",
      what: `${memory ? "Out of GPU memory" : "The GPU refused its work"}: ${error.message.trim()}`,
      where: kernels.length > 0 ? `one of the kernels ${kernels.join(", ")}` : "GPU queue",
      fix: memory
        ? "use a smaller --batch-size or a smaller model"
        : "report this with the command that led to it",
    });
  }

  async #check(): Promise<void> {
    await Promise.all(this.#checks.splice(0));
    try {
      await this.#pipelines.check();
      const failure = this.#lost ?? this.#failure;
      if (failure) throw failure;
    } catch (error) {
      throw await this.#causeOf(error);
    }
  }

  /** The loss of the device where an error follows from it; Deno tells of a loss a turn later than of what follows. */
  async #causeOf(error: unknown): Promise<unknown> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    return this.#lost ?? error;
  }

  #encode(): GPUCommandBuffer {
    const encoder = this.device.createCommandEncoder({ label: "step" });
    let pass: GPUComputePassEncoder | undefined;
    let current: Pipeline | undefined;
    const closePass = () => {
      pass?.end();
      pass = current = undefined;
    };
    const offset = new Uint32Array(1);
    for (const item of this.#recorded) {
      if ("clear" in item) {
        closePass();
        encoder.clearBuffer(item.clear.buffer, item.clear.offset, wordBytes(item.clear));
      } else if ("from" in item) {
        closePass();
        encoder.copyBufferToBuffer(item.from.buffer, item.from.offset, item.to, item.toOffset, item.bytes);
      } else {
        if (this.#profiler) closePass();
        pass ??= encoder.beginComputePass({
          label: item.pipeline.label,
          timestampWrites: this.#profiler?.next(item.pipeline.name),
        });
        if (current !== item.pipeline) pass.setPipeline((current = item.pipeline).pipeline);
        pass.setBindGroup(0, item.bindGroup, offset, 0, 1);
        pass.dispatchWorkgroups(...item.workgroups);
        offset[0] += PARAM_SLOT_BYTES;
      }
    }
    closePass();
    return encoder.finish();
  }

  #writeParams(kernel: Kernel, params: Readonly<Record<string, number>>): void {
    const view = new DataView(this.#params, this.#dispatches * PARAM_SLOT_BYTES, PARAM_SLOT_BYTES);
    kernel.paramNames.forEach((name, index) => {
      const type = kernel.params[name];
      if (type === "f32") view.setFloat32(4 * index, params[name], true);
      else if (type === "i32") view.setInt32(4 * index, params[name], true);
      else view.setUint32(4 * index, params[name], true);
    });
  }

  #bindGroup(pipeline: Pipeline, tensors: readonly Tensor[], scales?: Tensor): GPUBindGroup {
    const bound = tensors.map((tensor, index) => ({ binding: index + 1, tensor }));
    if (scales) bound.push({ binding: SCALES_BINDING, tensor: scales });
    const key = `${pipeline.id}:${
      bound.map(({ tensor: { buffer, offset } }) => `${this.#bufferId(buffer)}+${offset}`)
    }`;
    let group = this.#bindGroups.get(key);
    if (!group) {
      group = this.device.createBindGroup({
        label: `${pipeline.label}(${tensors.map(({ label }) => label).join(", ")})`,
        layout: pipeline.layout,
        entries: [
          { binding: 0, resource: { buffer: this.#paramBuffer, size: PARAM_SLOT_BYTES } },
          ...bound.map(({ binding, tensor: { buffer, offset } }) => ({
            binding,
            resource: { buffer, offset },
          })),
        ],
      });
      this.#bindGroups.set(key, group);
    }
    return group;
  }

  #bufferId(buffer: GPUBuffer): number {
    let id = this.#bufferIds.get(buffer);
    if (id === undefined) this.#bufferIds.set(buffer, id = this.#nextBufferId++);
    return id;
  }

  #forget(buffer: GPUBuffer): void {
    const id = this.#bufferIds.get(buffer);
    if (id === undefined) return;
    this.#bufferIds.delete(buffer);
    const used = new RegExp(`[:,]${id}\\+`);
    for (const key of this.#bindGroups.keys()) if (used.test(key)) this.#bindGroups.delete(key);
  }
}

/** Bytes of a tensor in whole words, which is how the GPU copies and clears. */
function wordBytes({ dtype, shape }: Tensor): number {
  return 4 * Math.ceil(byteLength(dtype, shape) / 4);
}
