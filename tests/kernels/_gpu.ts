import { Gpu } from "../../kernels/gpu.ts";
import { type DType, scalesOf, type Tensor } from "../../kernels/tensor.ts";
import { type AdapterSummary, type OpenDevice, openDevice } from "../../kernels/device.ts";
import { dequantiseInt4, dequantiseInt8, quantiseInt4, quantiseInt8 } from "../reference/quantise.ts";

/** What the kernels are told of the adapter. */
type Variant = Partial<Pick<AdapterSummary, "family" | "exchange" | "lanes">>;

const VARIANTS: Readonly<Record<string, Variant>> = {
  "cpu family, subgroups": { family: "cpu" },
  "gpu family, workgroup memory": { family: "gpu", exchange: "workgroup" },
};

/** As most GPUs are. Compiling for so many lanes takes a software driver seconds. */
const WIDE: Readonly<Record<string, Variant>> = {
  "gpu family, 32 lanes": { family: "gpu", exchange: "workgroup", lanes: 32 },
};

const available = await navigator.gpu?.requestAdapter() != null;
if (!available && Deno.env.get("REQUIRE_GPU") === "1") {
  throw new Error("REQUIRE_GPU=1 but there is no WebGPU adapter");
}

const opened = new Map<string, Gpu>();
globalThis.addEventListener("unload", () => opened.forEach((gpu) => gpu.destroy()));

async function open(name: string, variant: Variant): Promise<Gpu> {
  let gpu = opened.get(name);
  if (!gpu) {
    const { device, adapter } = await openDevice();
    opened.set(name, gpu = new Gpu(device, { ...adapter, ...variant }));
  }
  return gpu;
}

/**
 * A test that runs once with each set of algorithms the kernels have, on whatever adapter there is.
 * It fails if it leaves a tensor behind; without an adapter it is reported as ignored.
 */
export function gpuTest(name: string, test: (gpu: Gpu) => Promise<void>): void {
  register(name, test, VARIANTS);
}

/** {@linkcode gpuTest} for a case at the boundary of 32 lanes: runs with so many, too. */
export function wideGpuTest(name: string, test: (gpu: Gpu) => Promise<void>): void {
  register(name, test, { ...VARIANTS, ...WIDE });
}

function register(
  name: string,
  test: (gpu: Gpu) => Promise<void>,
  variants: Readonly<Record<string, Variant>>,
): void {
  for (const [title, variant] of Object.entries(variants)) {
    Deno.test({
      name: `${name} [${title}]`,
      ignore: !available,
      // The device outlives the test on purpose; leaks are counted in tensors instead.
      sanitizeResources: false,
      sanitizeOps: false,
      fn: async () => {
        const gpu = await open(title, variant);
        const before = gpu.liveTensors.length;
        await test(gpu);
        const left = gpu.liveTensors.slice(before);
        if (left.length > 0) throw new Error(`tensors not freed: ${left.join(", ")}`);
      },
    });
  }
}

/** Deterministic values in [-1, 1), rounded to f32. */
export function noise(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}

/** Deterministic whole numbers in [0, below). */
export function noiseIndices(count: number, below: number, seed: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(noise(count, seed), (value) => Math.floor((value + 1) / 2 * below));
}

/** Types that weights may have. */
export const WEIGHT_TYPES = ["f32", "f16", "bf16", "int8", "int4"] as const satisfies DType[];

/** How deep a case is for a type: the cases stand around packs of 8 weights, and a quantised pack holds 16. */
export function depthFor(dtype: DType, depth: number): number {
  return scalesOf(dtype, [1]) ? 2 * depth : depth;
}

/** Values as they are once stored, and the words that store them and the scales. */
export interface Stored {
  readonly values: Float32Array;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly scales?: Float32Array<ArrayBuffer> | Float16Array<ArrayBuffer>;
}

/**
 * Values in rows of `depth` as they are once stored in `dtype`.
 * f16 and bf16 are cut, not rounded: the reference sees the cut values too.
 */
export function packed(values: Float32Array, dtype: DType, depth: number): Stored {
  if (dtype === "f32") return { values, words: new Uint32Array(Float32Array.from(values).buffer) };
  if (dtype === "int8") {
    const { codes, scales } = quantiseInt8(values, depth);
    const words = new Uint32Array(Int8Array.from(codes).buffer);
    return {
      values: Float32Array.from(dequantiseInt8(codes, scales, depth)),
      words,
      scales: Float32Array.from(scales),
    };
  }
  if (dtype === "int4") {
    const { codes, scales } = quantiseInt4(values, depth);
    const words = new Uint32Array(codes.length / 8);
    codes.forEach((code, at) => words[at >> 3] |= code << (4 * (at & 7)));
    // The GPU takes whole words; no kernel may use the half to spare.
    const halves = new Float16Array(scales.length + scales.length % 2).fill(NaN);
    halves.set(scales);
    return { values: Float32Array.from(dequantiseInt4(codes, scales, depth)), words, scales: halves };
  }
  const words = new Uint32Array(Math.ceil(values.length / 2));
  const half = dtype === "f16" ? new Uint16Array(new Float16Array(values).buffer) : undefined;
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  const stored = Float32Array.from(values, (_, index) => {
    const code = half ? half[index] : bits[index] >>> 16;
    words[index >> 1] |= code << (16 * (index & 1));
    return half
      ? new Float16Array(Uint16Array.of(code).buffer)[0]
      : new Float32Array(Uint32Array.of(code << 16).buffer)[0];
  });
  return { values: stored, words };
}

/** Uploads packed weights. */
export function uploadPacked(
  gpu: Gpu,
  label: string,
  { words, scales }: Stored,
  dtype: DType,
  shape: number[],
): Tensor {
  const tensor = gpu.tensor(label, dtype, shape);
  gpu.write(tensor, words);
  if (tensor.scales && scales) gpu.write(tensor.scales, scales);
  return tensor;
}

/** A test with a GPU of its own, which it may break. */
export function ownGpuTest(name: string, test: (gpu: Gpu) => Promise<void>): void {
  deviceTest(name, async ({ device, adapter }) => {
    const gpu = new Gpu(device, adapter);
    try {
      await test(gpu);
    } finally {
      gpu.destroy();
    }
  });
}

/** A test with a device of its own, which it has to destroy. */
export function deviceTest(name: string, test: (opened: OpenDevice) => Promise<void>): void {
  Deno.test({ name, ignore: !available, fn: async () => await test(await openDevice()) });
}
