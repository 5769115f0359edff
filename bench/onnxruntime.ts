/** onnxruntime-web's WebGPU backend as a peer: the same product, on the same adapter, in the same process. */
// Named here and not in deno.json, so that only who runs benchmarks downloads it.
// deno-lint-ignore no-import-prefix
import * as ort from "npm:onnxruntime-web@1.30.0/webgpu";

/** A product `a b` that onnxruntime runs. */
export interface Peer {
  /** Runs once and waits until the GPU is idle. */
  run(): Promise<void>;
  /** The result of the last run. */
  read(): Promise<Float32Array>;
  free(): Promise<void>;
}

/**
 * Loads a model of one MatMul. Inputs and output stay on the GPU, so that no copy is timed.
 *
 * @param a `[m, k]`
 * @param b `[k, n]`
 */
export async function onnxMatmul(
  a: Float32Array<ArrayBuffer>,
  b: Float32Array<ArrayBuffer>,
  [m, k, n]: readonly [number, number, number],
): Promise<Peer> {
  const session = await ort.InferenceSession.create(matmulModel(), {
    executionProviders: ["webgpu"],
    preferredOutputLocation: "gpu-buffer",
  });
  const device = await ort.env.webgpu.device as GPUDevice;
  const buffers: GPUBuffer[] = [];
  const upload = (data: Float32Array<ArrayBuffer>, dims: readonly number[]) => {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const buffer = device.createBuffer({ size: data.byteLength, usage });
    device.queue.writeBuffer(buffer, 0, data);
    buffers.push(buffer);
    return ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims });
  };
  const feeds = { a: upload(a, [m, k]), b: upload(b, [k, n]) };
  let last: ort.Tensor | undefined;
  return {
    async run() {
      last?.dispose();
      last = (await session.run(feeds)).y;
      // Blocks until the queue is idle; its promise would sleep 10 ms more, which is Deno's, not the peer's.
      device.queue.onSubmittedWorkDone().catch(() => {});
    },
    async read() {
      return await last!.getData() as Float32Array;
    },
    async free() {
      last?.dispose();
      buffers.forEach((buffer) => buffer.destroy());
      await session.release();
    },
  };
}

/** An ONNX model `y = MatMul(a, b)`, written as protobuf by hand: https://onnx.ai/onnx/repo-docs/IR.html */
function matmulModel(): Uint8Array {
  const node = [...field(1, "a"), ...field(1, "b"), ...field(2, "y"), ...field(4, "MatMul")];
  const graph = [
    ...field(1, node),
    ...field(2, "matmul"),
    ...field(11, valueInfo("a", ["m", "k"])),
    ...field(11, valueInfo("b", ["k", "n"])),
    ...field(12, valueInfo("y", ["m", "n"])),
  ];
  const opset = [...field(1, ""), ...field(2, 17)];
  return Uint8Array.from([...field(1, 8), ...field(7, graph), ...field(8, opset)]);
}

/** A float32 value of a name and symbolic dimensions. */
function valueInfo(name: string, dims: readonly string[]): number[] {
  const shape = dims.flatMap((dim) => field(1, field(2, dim)));
  return [...field(1, name), ...field(2, field(1, [...field(1, 1), ...field(2, shape)]))];
}

function field(number: number, value: number | string | readonly number[]): number[] {
  if (typeof value === "number") return [...varint(number << 3), ...varint(value)];
  const bytes = typeof value === "string" ? [...new TextEncoder().encode(value)] : value;
  return [...varint(number << 3 | 2), ...varint(bytes.length), ...bytes];
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [value & 127 | 128, ...varint(value >>> 7)];
}
