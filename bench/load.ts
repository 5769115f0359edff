/**
 * Loading a large checkpoint: speed beside a plain read of the same files, and the host memory it takes.
 *
 * The checkpoint is made up, a Llama of random bf16 weights in shards, written to a temporary folder and removed.
 */
import { join } from "node:path";
import type { Gpu } from "../kernels/gpu.ts";
import { byteLength, type DType, scalesOf } from "../kernels/tensor.ts";
import { Checkpoint } from "../model/checkpoint.ts";
import { layoutItems, tensorShapes, weightLayout } from "../model/layout.ts";
import { allTensors, loadWeights, type WeightType } from "../model/weights.ts";
import type { TransformerDescription } from "../core/mod.ts";

/** What loading took. */
export interface LoadResult {
  readonly dtype: WeightType;
  /** Of all tensors as they are stored. */
  readonly bytes: number;
  readonly largestTensorBytes: number;
  readonly shards: number;
  readonly loadGBs: number;
  /** The same files read in pieces of 16 MB and thrown away, right before. */
  readonly plainReadGBs: number;
  /**
   * Most resident memory of this process beyond what it had before; where a software driver keeps the weights in it,
   * beyond those that the GPU has already been waited for.
   */
  readonly peakHostBytes: number;
}

const SHARD_BYTES = 1 << 30;

/** A Llama of at least so many bytes in bf16. Of width 4096 its embedding is one that 128 MiB do not hold. */
export function largeDescription(bytes: number, width = 4096): TransformerDescription {
  const feedForward = 11 * width / 8, kvHeads = 8, headDim = 128, heads = width / headDim, vocabulary = 32000;
  const layerBytes = 2 *
    (2 * width * heads * headDim + 2 * width * kvHeads * headDim + 3 * width * feedForward);
  const layers = Math.max(1, Math.ceil((bytes - 4 * vocabulary * width) / layerBytes));
  return {
    layers,
    width,
    heads,
    kvHeads,
    headDim,
    feedForward,
    vocabulary,
    contextLength: 4096,
    normEpsilon: 1e-5,
    ropeTheta: 10000,
    tiedEmbeddings: false,
  };
}

/** Writes random weights for a description, in shards of a gigabyte, with an index. */
export async function writeRandomCheckpoint(folder: string, model: TransformerDescription): Promise<void> {
  const shards: [string, readonly number[]][][] = [[]];
  let size = 0, total = 0;
  for (const [name, shape] of tensorShapes(model)) {
    const bytes = bytesOf(shape);
    if (size > 0 && size + bytes > SHARD_BYTES) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)!.push([name, shape]);
    size += bytes;
    total += bytes;
  }
  const map: Record<string, string> = {};
  const random = randomBf16(1 << 24);
  for (const [index, tensors] of shards.entries()) {
    const file = `model-${String(index + 1).padStart(5, "0")}-of-${
      String(shards.length).padStart(5, "0")
    }.safetensors`;
    let offset = 0;
    const header: Record<string, unknown> = {};
    for (const [name, shape] of tensors) {
      map[name] = file;
      header[name] = { dtype: "BF16", shape, data_offsets: [offset, offset += bytesOf(shape)] };
    }
    const text = new TextEncoder().encode(JSON.stringify(header));
    using out = await Deno.open(join(folder, file), { write: true, createNew: true });
    const length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
    for (const piece of [length, text]) await writeAll(out, piece);
    for (let left = offset; left > 0; left -= random.length) {
      await writeAll(out, random.subarray(0, Math.min(left, random.length)));
    }
  }
  const index = { metadata: { total_size: total }, weight_map: map };
  await Deno.writeTextFile(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
}

/** Loads a checkpoint and measures it. */
export async function benchLoad(
  gpu: Gpu,
  folder: string,
  model: TransformerDescription,
  dtype: WeightType,
): Promise<LoadResult> {
  const sizes = [...tensorShapes(model).values()].map(bytesOf);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const files = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".safetensors"));
  const plainSeconds = await seconds(async () => {
    for (const { name } of files) await readPlainly(join(folder, name));
  });
  using checkpoint = await Checkpoint.open(folder);
  await gpu.finish();
  gpu.trim();
  const before = residentBytes(), onGpu = gpuBytes(model, dtype);
  let peakHostBytes = 0, loaded = 0, finished = 0;
  const progress = {
    update(done: number) {
      loaded = done;
      const weights = gpu.adapter.software ? onGpu(finished) : 0;
      peakHostBytes = Math.max(peakHostBytes, residentBytes() - before - weights);
    },
  };
  const watched = whenFinished(gpu, () => finished = loaded);
  let tensors: ReturnType<typeof allTensors> = [];
  const loadSeconds = await seconds(async () => {
    tensors = allTensors(await loadWeights(watched, checkpoint, model, { dtype, progress }));
    await gpu.finish();
  });
  gpu.free(...tensors);
  gpu.trim();
  return {
    dtype,
    bytes,
    largestTensorBytes: Math.max(...sizes),
    shards: files.length,
    loadGBs: bytes / 1e9 / loadSeconds,
    plainReadGBs: bytes / 1e9 / plainSeconds,
    peakHostBytes,
  };
}

/** The same GPU, but for that it tells when it was waited for: what was written before has arrived. */
function whenFinished(gpu: Gpu, tell: () => void): Gpu {
  return new Proxy(gpu, {
    get(target, key) {
      const value = Reflect.get(target, key, target);
      if (key === "finish") return () => target.finish().then(tell);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Bytes that weights take on the GPU once so many bytes of the checkpoint have been loaded, in their order. */
function gpuBytes(model: TransformerDescription, dtype: WeightType): (loaded: number) => number {
  const items = layoutItems(weightLayout(model)).map((item) => {
    const shapes = item.tensors.map(([, shape]) => shape);
    const stored = shapes.reduce((sum, shape) => sum + bytesOf(shape), 0);
    const quantised = dtype !== "auto" && item.kind === "matrix" && item.quantisable;
    return { stored, perByte: quantised ? sizeOf(dtype, shapes[0]) / bytesOf(shapes[0]) : 1 };
  });
  return (loaded) => {
    let left = loaded, bytes = 0;
    for (const { stored, perByte } of items) {
      bytes += perByte * Math.min(left, stored);
      left = Math.max(0, left - stored);
    }
    return bytes;
  };
}

/** Bytes of a quantised tensor, its scales included. */
function sizeOf(dtype: DType, shape: readonly number[]): number {
  const scales = scalesOf(dtype, shape)!;
  return byteLength(dtype, shape) + byteLength(scales.dtype, scales.shape);
}

/** Resident memory of this process, the driver's included. */
function residentBytes(): number {
  return Deno.memoryUsage().rss;
}

function bytesOf(shape: readonly number[]): number {
  return 2 * shape.reduce((product, extent) => product * extent, 1);
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function readPlainly(path: string): Promise<void> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 24);
  while (await file.read(buffer) !== null);
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}

/** Random signs and mantissas, magnitudes from 1/128 to 1/64. */
function randomBf16(bytes: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(bytes / 4);
  let state = 1;
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[index] = (state & 0x807f807f) | 0x3c003c00;
  }
  return new Uint8Array(words.buffer);
}
