/**
 * Loading a large checkpoint: speed beside a plain read of the same files, and the host memory it takes.
 *
 * The checkpoint is made up, a Llama of random bf16 weights in shards, written to a temporary folder and removed.
 */
import { join } from "node:path";
import type { Gpu } from "../kernels/gpu.ts";
import { Checkpoint, tensorShapes } from "../model/checkpoint.ts";
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
   * Most resident memory of this process beyond what it had before and beyond the weights loaded so far. A software
   * driver keeps the GPU's buffers in this process, so those are taken off; a card's driver does not, and then this
   * takes off too much, down to 0.
   */
  readonly peakHostBytes: number;
}

const SHARD_BYTES = 1 << 30;

/** A Llama of at least so many bytes in bf16; its embedding is 32000 x 4096, which 128 MiB do not hold. */
export function largeDescription(bytes: number): TransformerDescription {
  const width = 4096, feedForward = 5632, kvHeads = 8, headDim = 128, heads = 32, vocabulary = 32000;
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
  const before = residentBytes(), held = gpu.bytes;
  let peakHostBytes = 0;
  const progress = {
    update(done: number) {
      // Of the buffers that are there, those not yet written to take no memory on a software driver.
      const weights = Math.min(done, gpu.bytes - held);
      peakHostBytes = Math.max(peakHostBytes, residentBytes() - before - weights);
    },
  };
  let tensors: ReturnType<typeof allTensors> = [];
  const loadSeconds = await seconds(async () => {
    tensors = allTensors(await loadWeights(gpu, checkpoint, model, { dtype, progress }));
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
