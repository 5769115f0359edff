import { UserError } from "../core/errors.ts";
import type { AdapterSummary } from "./device.ts";
import type { Kernel } from "./kernel.ts";
import experts from "./shared/experts.wgsl" with { type: "text" };
import lanesSubgroup from "./shared/lanes_subgroup.wgsl" with { type: "text" };
import lanesWorkgroup from "./shared/lanes_workgroup.wgsl" with { type: "text" };
import random from "./shared/random.wgsl" with { type: "text" };
import weightsBf16 from "./shared/weights_bf16.wgsl" with { type: "text" };
import weightsF16 from "./shared/weights_f16.wgsl" with { type: "text" };
import weightsF32 from "./shared/weights_f32.wgsl" with { type: "text" };
import weightsInt4 from "./shared/weights_int4.wgsl" with { type: "text" };
import weightsInt8 from "./shared/weights_int8.wgsl" with { type: "text" };
import { type SourceFile, specialise, type SpecialisedSource } from "./specialise.ts";
import { type DType, scalesOf } from "./tensor.ts";

const shared = (name: string, text: string): SourceFile => ({ file: `kernels/shared/${name}.wgsl`, text });

const LANES: Readonly<Record<AdapterSummary["exchange"], SourceFile>> = {
  subgroup: shared("lanes_subgroup", lanesSubgroup),
  workgroup: shared("lanes_workgroup", lanesWorkgroup),
};

const WEIGHTS: Readonly<Partial<Record<DType, SourceFile>>> = {
  f32: shared("weights_f32", weightsF32),
  f16: shared("weights_f16", weightsF16),
  bf16: shared("weights_bf16", weightsBf16),
  int8: shared("weights_int8", weightsInt8),
  int4: shared("weights_int4", weightsInt4),
};

/** Where the WGSL of quantised weights declares their scales, above the buffers of every kernel. */
export const SCALES_BINDING = 15;

const RANDOM = shared("random", random);

const EXPERTS = shared("experts", experts);

/** A kernel compiled for one adapter, one set of constants and one weight type. */
export interface Pipeline {
  readonly id: number;
  /** Kernel with its weight type and constants, as it stands in error messages. */
  readonly label: string;
  /** Name of the kernel. */
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly constants: Readonly<Record<string, number>>;
}

/** Compiles each variant of a kernel once. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #adapter: AdapterSummary;
  readonly #pipelines = new Map<Kernel, Map<string, Pipeline>>();
  readonly #checks: Promise<UserError | undefined>[] = [];
  #nextId = 0;

  constructor(device: GPUDevice, adapter: AdapterSummary) {
    this.#device = device;
    this.#adapter = adapter;
  }

  /** The pipeline for these constants and, if the kernel reads packed weights, their type. */
  get(
    kernel: Kernel,
    overrides: Readonly<Partial<Record<string, number>>>,
    weights: DType | undefined,
  ): Pipeline {
    let variants = this.#pipelines.get(kernel);
    if (!variants) this.#pipelines.set(kernel, variants = new Map());
    const key = `${weights ?? ""} ${Object.entries(overrides)}`;
    let pipeline = variants.get(key);
    if (!pipeline) variants.set(key, pipeline = this.#compile(kernel, overrides, weights));
    return pipeline;
  }

  /** Throws the first compile error since the last check. */
  async check(): Promise<void> {
    const error = (await Promise.all(this.#checks.splice(0))).find((found) => found !== undefined);
    if (error) throw error;
  }

  #compile(kernel: Kernel, overrides: Readonly<Partial<Record<string, number>>>, weights?: DType): Pipeline {
    const { family, exchange, lanes } = this.#adapter;
    const own = { ...kernel.constants?.[family], ...overrides } as Record<string, number>;
    const source = "file" in kernel.source ? kernel.source : kernel.source[family];
    const files = [source];
    if (kernel.uses?.includes("experts")) files.unshift(EXPERTS);
    if (kernel.uses?.includes("random")) files.unshift(RANDOM);
    if (kernel.uses?.includes("weights")) files.unshift(WEIGHTS[weights!]!);
    if (kernel.uses?.includes("lanes")) {
      files.unshift(LANES[exchange]);
      own.lanes = lanes;
    }
    const details = [weights, ...Object.entries(own).map(([name, value]) => `${name}=${value}`)].filter(
      Boolean,
    );
    const label = details.length > 0 ? `${kernel.name}<${details.join(", ")}>` : kernel.name;
    const specialised = specialise(files, own);
    const module = this.#device.createShaderModule({ label, code: specialised.code });
    this.#checks.push(compileError(module, specialised, label));
    const layout = this.#device.createBindGroupLayout({ label, entries: layoutEntries(kernel, weights) });
    const pipeline = this.#device.createComputePipeline({
      label,
      layout: this.#device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: kernel.name },
    });
    return { id: this.#nextId++, label, name: kernel.name, pipeline, layout, constants: { lanes, ...own } };
  }
}

function layoutEntries(kernel: Kernel, weights?: DType): GPUBindGroupLayoutEntry[] {
  const visibility = GPUShaderStage.COMPUTE;
  const scaled = weights !== undefined && scalesOf(weights, [0]) !== undefined;
  return [
    { binding: 0, visibility, buffer: { type: "uniform", hasDynamicOffset: true } },
    ...kernel.bufferNames.map((name, index): GPUBindGroupLayoutEntry => ({
      binding: index + 1,
      visibility,
      buffer: { type: kernel.buffers[name] === "read" ? "read-only-storage" : "storage" },
    })),
    ...(scaled
      ? [{ binding: SCALES_BINDING, visibility, buffer: { type: "read-only-storage" as const } }]
      : []),
  ];
}

/** The compiler's first error, if it has one, pointing at the file and line it came from. */
async function compileError(
  module: GPUShaderModule,
  source: SpecialisedSource,
  label: string,
): Promise<UserError | undefined> {
  const { messages } = await module.getCompilationInfo();
  const error = messages.find(({ type }) => type === "error");
  if (!error) return undefined;
  return new UserError({
    kind: "internal",
    what: `Cannot compile ${label}: ${firstSentence(error.message)}`,
    where: `${source.origin[error.lineNum - 1] ?? "unknown line"}: ${
      source.code.split("\n")[error.lineNum - 1]?.trim() ?? ""
    }`,
    fix: "correct the WGSL",
  });
}

/** The compiler's own drawing of the source shows the joined file, so only its first line is kept. */
function firstSentence(message: string): string {
  return message.trim().split("\n")[0].replace(/^Shader '.*' parsing error: /, "");
}
