/** The product of a linear layer, beside a naive kernel and onnxruntime-web, in one run. */
import type { Gpu } from "../kernels/gpu.ts";
import { matmul } from "../kernels/matmul.ts";
import type { Tensor } from "../kernels/tensor.ts";
import { naiveMatmul } from "./naive_matmul.ts";
import { onnxMatmul } from "./onnxruntime.ts";
import { type Contestant, race } from "./timing.ts";

/** Products as models have them: tokens, inputs, outputs. */
const SHAPES = [
  { rows: 1024, depth: 96, columns: 256, like: "embedded model, feed-forward" },
  { rows: 256, depth: 576, columns: 1536, like: "SmolLM2-135M, feed-forward" },
  { rows: 192, depth: 2048, columns: 2048, like: "TinyLlama-1.1B, attention" },
] as const;

/** GFLOP/s of one shape, from the median time, and how often the f32 kernel beats its peers. */
export interface MatmulResult {
  readonly shape: string;
  readonly like: string;
  readonly gflops: Readonly<Record<string, number>>;
  readonly timesNaive: number;
  readonly timesOnnxruntime: number;
  /** Largest difference to onnxruntime's result. */
  readonly difference: number;
}

/** Times every shape. */
export async function benchMatmul(gpu: Gpu, rounds: number): Promise<MatmulResult[]> {
  const results: MatmulResult[] = [];
  for (const shape of SHAPES) results.push(await benchShape(gpu, shape, rounds));
  return results;
}

async function benchShape(
  gpu: Gpu,
  { rows, depth, columns, like }: typeof SHAPES[number],
  rounds: number,
): Promise<MatmulResult> {
  // Values of about 1, because denormals and NaN, as random bits would hold, are slow on CPUs.
  const values = (count: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898) * 0.5);
  const x = values(rows * depth), weight = values(columns * depth);
  const transposed = Float32Array.from(
    { length: depth * columns },
    (_, i) => weight[(i % columns) * depth + Math.floor(i / columns)],
  );
  const tensors = {
    x: gpu.upload("x", x, [rows, depth]),
    f32: gpu.upload("f32", weight, [columns, depth]),
    bf16: gpu.tensor("bf16", "bf16", [columns, depth]),
    y: gpu.tensor("y", "f32", [rows, columns]),
  };
  const bits = new Uint32Array(weight.buffer);
  gpu.write(tensors.bf16, Uint16Array.from(bits, (word) => word >>> 16));
  const { x: input, y } = tensors;
  const ours = (name: string, w: Tensor): Contestant => ({
    name,
    run: async () => {
      gpu.run(matmul, {
        params: {
          rows,
          columns,
          depth,
          rank: 0,
          lora_rows: 0,
          lora_scale: 0,
          add_residual: 0,
          y_stride: columns,
          y_first: 0,
        },
        buffers: { x: input, weight: w, z: input, lora_b: input, residual: input, y },
      });
      await gpu.finish();
    },
  });
  const naive: Contestant = {
    name: "naive",
    run: async () => {
      gpu.run(naiveMatmul, {
        params: { rows, columns, depth },
        buffers: { x: input, weight: tensors.f32, y },
      });
      await gpu.finish();
    },
  };
  const peer = await onnxMatmul(x, transposed, [rows, depth, columns]);
  const onnxruntime: Contestant = { name: "onnxruntime-web", run: () => peer.run() };
  const times = await race(
    [naive, onnxruntime, ours("bf16", tensors.bf16), ours("f32", tensors.f32)],
    rounds,
  );
  // The f32 kernel ran last, so y holds its result.
  const mine = await gpu.readF32(y), theirs = await peer.read();
  const difference = mine.reduce((most, value, index) => Math.max(most, Math.abs(value - theirs[index])), 0);
  await peer.free();
  gpu.free(...Object.values(tensors));
  const work = 2 * rows * depth * columns / 1e6;
  return {
    shape: `[${rows}, ${depth}] x [${columns}, ${depth}]`,
    like,
    gflops: Object.fromEntries(Object.entries(times).map(([name, { median }]) => [name, work / median])),
    timesNaive: times.naive.median / times.f32.median,
    timesOnnxruntime: times["onnxruntime-web"].median / times.f32.median,
    difference,
  };
}
