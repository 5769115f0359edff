import { UserError } from "../core/errors.ts";
import type { SourceFile } from "./specialise.ts";
import { type DType, QUANTISED_MULTIPLE, scalesOf, type Tensor, valueCount } from "./tensor.ts";

/** A kernel parameter: one 4-byte scalar of the WGSL `Params` struct. */
export type ScalarType = "u32" | "i32" | "f32";

/**
 * Which algorithms an adapter gets: `cpu` is a software driver, where a gather is dear and registers are spread
 * over the lanes of one subgroup; `gpu` is everything else, where tiles go through workgroup memory.
 */
export type Family = "cpu" | "gpu";

/** A kernel as data: its WGSL, and how to bind, check and divide it. Keys stand in WGSL binding order. */
export interface KernelDefinition<P extends string, B extends string, C extends string> {
  /** Name of the file and of the entry point. */
  readonly name: string;
  /** The WGSL file; a kernel with two algorithms has one for each family. */
  readonly source: SourceFile | Readonly<Record<Family, SourceFile>>;
  /**
   * WGSL joined in front: `lanes` for the exchange between invocations, `weights` for packed weights, `random` for
   * the counter-based generator, `experts` for the rows of a workgroup among those sorted by expert.
   */
  readonly uses?: readonly ("lanes" | "weights" | "random" | "experts")[];
  /** Fields of the `Params` struct, in order. */
  readonly params: Readonly<Record<P, ScalarType>>;
  /** Storage buffers, in binding order from 1 (0 is `Params`). */
  readonly buffers: Readonly<Record<B, "read" | "read_write">>;
  /** The buffer whose element type picks the `weights` file. */
  readonly packed?: NoInfer<B>;
  /** Named constants of the WGSL file that a call may set, with their defaults for each family. */
  readonly constants?: Readonly<Record<Family, Readonly<Record<C, number>>>>;
  /** Shape each buffer must at least hold, for these parameters. */
  shapes(params: Readonly<Record<P, number>>): Readonly<Record<B, readonly number[]>>;
  /** Workgroups to start; any 0 starts none. `lanes` is the number of invocations that exchange values. */
  workgroups(
    params: Readonly<Record<P, number>>,
    constants: Readonly<Record<C | "lanes", number>>,
  ): readonly [number, number, number];
}

/** A kernel that can be run: see {@linkcode defineKernel}. */
export interface Kernel<P extends string = string, B extends string = string, C extends string = string>
  extends KernelDefinition<P, B, C> {
  /** Names of the parameters, in the order of the `Params` struct. */
  readonly paramNames: readonly P[];
  /** Names of the buffers, in binding order. */
  readonly bufferNames: readonly B[];
}

/** Names of a kernel's parameters. */
export type ParamOf<K> = K extends Kernel<infer P, string, string> ? P : never;

/** Names of a kernel's buffers. */
export type BufferOf<K> = K extends Kernel<string, infer B, string> ? B : never;

/** What one call of a kernel is given. */
export interface KernelCall<P extends string, B extends string, C extends string> {
  /** A value for each parameter. */
  readonly params: Readonly<Record<P, number>>;
  /** A tensor for each buffer, at least as large as the kernel asks for these parameters. */
  readonly buffers: Readonly<Record<B, Tensor>>;
  /** Constants to set; each combination is compiled once. */
  readonly constants?: Readonly<Partial<Record<C, number>>>;
}

/** Turns a definition into a kernel; the order of `params` and `buffers` is their layout on the GPU. */
export function defineKernel<P extends string, B extends string, C extends string = never>(
  definition: KernelDefinition<P, B, C>,
): Kernel<P, B, C> {
  return {
    ...definition,
    paramNames: Object.keys(definition.params) as P[],
    bufferNames: Object.keys(definition.buffers) as B[],
  };
}

/** `ceil(count / size)`: how many tiles of `size` cover `count`. */
export function tiles(count: number, size: number): number {
  return Math.ceil(count / size);
}

const ACCEPTED: Readonly<Record<"plain" | "packed", readonly DType[]>> = {
  plain: ["f32", "u32"],
  packed: ["f32", "f16", "bf16", "int8", "int4"],
};

/** Throws unless every buffer of the call holds the shape that the parameters ask for. */
export function checkCall<P extends string, B extends string, C extends string>(
  kernel: Kernel<P, B, C>,
  { params, buffers }: KernelCall<P, B, C>,
): void {
  for (const name of kernel.paramNames) {
    if (!isScalar(params[name], kernel.params[name])) {
      throw callError(
        kernel,
        params,
        `param "${name}" is ${params[name]}`,
        `pass a number of type ${kernel.params[name]}`,
      );
    }
  }
  const shapes = kernel.shapes(params);
  for (const name of kernel.bufferNames) {
    const tensor = buffers[name];
    if (tensor === undefined) {
      throw callError(kernel, params, `buffer "${name}" is missing`, "pass a tensor for every buffer");
    }
    const accepted = ACCEPTED[kernel.packed === name ? "packed" : "plain"];
    if (!accepted.includes(tensor.dtype)) {
      throw callError(
        kernel,
        params,
        `buffer "${name}" is of type ${tensor.dtype}`,
        `pass a tensor of type ${accepted.join(" or ")}`,
      );
    }
    const has = valueCount(tensor.shape), needs = valueCount(shapes[name]);
    if (has < needs) {
      throw callError(
        kernel,
        params,
        `buffer "${name}" has ${has} values but [${shapes[name].join(", ")}] needs ${needs}`,
        "pass a buffer of that shape, or correct the params",
      );
    }
    const wrong = wrongScales(tensor, shapes[name]);
    if (wrong) {
      const fix = "take the tensor from Gpu.tensor(), whose scales fit, and correct the params";
      throw callError(kernel, params, `buffer "${name}" ${wrong}`, fix);
    }
  }
}

/** What keeps a kernel from finding the scales of a quantised tensor that it reads in this shape. */
function wrongScales({ dtype, shape, scales }: Tensor, read: readonly number[]): string | undefined {
  const needs = scalesOf(dtype, read);
  if (needs === undefined) return undefined;
  const depth = read[read.length - 1];
  if (depth % QUANTISED_MULTIPLE !== 0) {
    return `is ${dtype} in rows of ${depth}, which is no multiple of ${QUANTISED_MULTIPLE}`;
  }
  // With rows of another length, a scale would meet the codes of another row.
  if (shape[shape.length - 1] !== depth) {
    return `is ${dtype} in rows of ${shape[shape.length - 1]} and read in rows of ${depth}`;
  }
  if (scales === undefined) return `is ${dtype} without scales`;
  if (scales.dtype !== needs.dtype) {
    return `has scales of type ${scales.dtype} where ${dtype} has ${needs.dtype}`;
  }
  const has = valueCount(scales.shape), wants = valueCount(needs.shape);
  if (has < wants) return `has ${has} scales but [${needs.shape.join(", ")}] needs ${wants}`;
}

function isScalar(value: unknown, type: ScalarType): boolean {
  if (typeof value !== "number" || Number.isNaN(value)) return false;
  if (type === "f32") return true;
  return value === (type === "u32" ? value >>> 0 : value | 0);
}

/** An error about one call of a kernel, naming the kernel and its parameters. */
export function callError(
  kernel: Pick<Kernel, "name">,
  params: Readonly<Record<string, number>>,
  what: string,
  fix: string,
): UserError {
  return new UserError({
    kind: "internal",
    what: `Cannot run ${kernel.name}: ${what}`,
    where: `kernels/${kernel.name}.ts, params ${JSON.stringify(params)}`,
    fix,
  });
}

/** Refuses more workgroups than an adapter starts: whoever chose the batch can choose a smaller one. */
export function checkWorkgroups(
  { name }: Pick<Kernel, "name">,
  workgroups: readonly number[],
  limit: number,
): void {
  if (workgroups.every((count) => count <= limit)) return;
  throw new UserError({
    kind: "adapter",
    what: `Cannot run ${name}: it needs [${workgroups}] workgroups`,
    where: `an adapter that starts at most ${limit} in a dimension`,
    fix: "use a smaller --batch-size (and more --gradient-accumulation-steps), or shorter texts",
  });
}
