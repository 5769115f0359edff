import { addBias } from "../kernels/add_bias.ts";
import { dropout } from "../kernels/dropout.ts";
import type { Gpu } from "../kernels/gpu.ts";
import type { BufferOf, KernelCall, ParamOf } from "../kernels/kernel.ts";
import { loraGradient } from "../kernels/lora_gradient.ts";
import { matmul } from "../kernels/matmul.ts";
import { matmulBackward } from "../kernels/matmul_backward.ts";
import { matmulSkinny } from "../kernels/matmul_skinny.ts";
import type { Tensor } from "../kernels/tensor.ts";
import type { LoraAdapter, LoraSite } from "./adapter.ts";
import { type Matrix, rowsOf } from "./matrix.ts";

/** Rows up to which a product is bound by loading the weights, not by arithmetic; sums may then be in another order. */
export const SKINNY_ROWS = 4;

/** An adapter at work: on the first rows of a batch, with dropout while it is trained. */
export interface ActiveAdapter {
  readonly adapter: LoraAdapter;
  /** The first rows run with the adapter, the others without. */
  readonly rows: number;
  readonly dropout?: Dropout;
}

/** Dropout in front of LoRA's A. */
export interface Dropout {
  readonly probability: number;
  readonly seed: number;
  readonly step: number;
  /** `[rows]` u32: a number for each token, so that its mask does not depend on where it lies. */
  readonly counters: Tensor;
}

/** Where a linear layer writes: columns `first …` of rows that are `stride` wide. */
export interface Target {
  readonly y: Tensor;
  readonly stride: number;
  readonly first: number;
  /** Added to the product; laid out as `y`. */
  readonly residual?: Tensor;
}

/**
 * `y = x Wᵀ`, and on adapted rows `+ scale · (drop(x) Aᵀ Bᵀ + bias)`.
 *
 * @param x `[rows, inputs]`
 * @param weight `[outputs, inputs]`; of a matrix in parts, each gives its own columns of `y`
 * @returns `drop(x) Aᵀ`, `[adapted rows, rank]`, for the backward pass, if there is a site; the caller frees it
 */
export function linear(
  gpu: Gpu,
  weight: Matrix,
  x: Tensor,
  rows: number,
  { y, stride, first, residual }: Target,
  active?: ActiveAdapter,
  site?: LoraSite,
): Tensor | undefined {
  const z = active && site ? loraDown(gpu, x, active, site) : undefined;
  for (const { first: firstOutput, tensor } of weight.parts) {
    const [outputs, inputs] = tensor.shape;
    product(gpu, rows, {
      params: {
        rows,
        columns: outputs,
        depth: inputs,
        rank: z ? site!.paddedRank : 0,
        lora_rows: z ? active!.rows : 0,
        lora_scale: z ? site!.scale : 0,
        add_residual: residual ? 1 : 0,
        y_stride: stride,
        y_first: first + firstOutput,
      },
      // A call without LoRA or residual still has to bind something there; x is at hand.
      buffers: {
        x,
        weight: tensor,
        z: z ?? x,
        lora_b: z ? rowsOf(site!.b, firstOutput, outputs) : x,
        residual: residual ?? x,
        y,
      },
    });
  }
  if (z && site?.bias) {
    gpu.run(addBias, {
      params: { rows: active!.rows, columns: site.outputs, stride, first, scale: site.scale },
      buffers: { bias: site.bias, y },
    });
  }
  return z;
}

/** Where the gradient of a linear layer's output lies: columns `first …` of rows that are `stride` wide. */
export interface OutputGradient {
  readonly dy: Tensor;
  readonly stride: number;
  readonly first: number;
}

/** LoRA's part in the backward pass of one linear layer. */
export interface LoraBackward {
  readonly active: ActiveAdapter;
  readonly site: LoraSite;
  /** What {@linkcode linear} gave back. */
  readonly z: Tensor;
  /** `[adapted rows, inputs]`: the layer's input. */
  readonly x: Tensor;
  readonly gradient: Gradient;
}

/** Accumulates the gradient of an adapter's values. */
export interface Gradient {
  /** `[splits, values]` f32; the sum over splits is the gradient. */
  readonly values: Tensor;
  readonly splits: number;
}

/**
 * Gradients of {@linkcode linear}: for its input if `dx` is given, and for A and B if `lora` is.
 *
 * @param dx `[rows, inputs]`, overwritten, or added to if `accumulate`
 */
export function linearBackward(
  gpu: Gpu,
  weight: Matrix,
  rows: number,
  output: OutputGradient,
  dx: Tensor | undefined,
  accumulate: boolean,
  lora?: LoraBackward,
): void {
  for (const { first, tensor } of dx ? weight.parts : []) {
    const [columns, depth] = tensor.shape;
    gpu.run(matmulBackward, {
      params: {
        rows,
        columns,
        depth,
        dy_stride: output.stride,
        dy_first: output.first + first,
        scale: 1,
        accumulate: accumulate || first > 0 ? 1 : 0,
      },
      buffers: { dy: output.dy, weight: tensor, dx: dx! },
    });
  }
  if (lora) loraBackward(gpu, output, dx, lora);
}

/** `drop(x) Aᵀ`. */
function loraDown(gpu: Gpu, x: Tensor, active: ActiveAdapter, site: LoraSite): Tensor {
  const { rows } = active;
  const dropped = dropRows(gpu, x, active, site);
  const z = gpu.tensor(`${site.name}.${site.layer}.z`, "f32", [rows, site.paddedRank]);
  product(gpu, rows, {
    params: {
      rows,
      columns: site.paddedRank,
      depth: site.inputs,
      rank: 0,
      lora_rows: 0,
      lora_scale: 0,
      add_residual: 0,
      y_stride: site.paddedRank,
      y_first: 0,
    },
    buffers: { x: dropped, weight: site.a, z: x, lora_b: x, residual: x, y: z },
  });
  if (dropped !== x) gpu.free(dropped);
  return z;
}

function loraBackward(
  gpu: Gpu,
  { dy, stride, first }: OutputGradient,
  dx: Tensor | undefined,
  { active, site, z, x, gradient }: LoraBackward,
): void {
  const { rows, adapter } = active;
  const { paddedRank: rank, inputs, outputs, scale } = site;
  const dz = gpu.tensor("dz", "f32", [rows, rank]);
  gpu.run(matmulBackward, {
    params: {
      rows,
      columns: outputs,
      depth: rank,
      dy_stride: stride,
      dy_first: first,
      scale,
      accumulate: 0,
    },
    buffers: { dy, weight: site.b, dx: dz },
  });
  const common = {
    rows,
    narrow_count: rank,
    narrow_stride: rank,
    narrow_first: 0,
    gradient_stride: adapter.values.shape[0],
    splits: gradient.splits,
  };
  gpu.run(loraGradient, {
    params: {
      ...common,
      wide_count: outputs,
      wide_stride: stride,
      wide_first: first,
      first: site.bFirst,
      wide_step: rank,
      narrow_step: 1,
      scale,
    },
    buffers: { wide: dy, narrow: z, gradient: gradient.values },
  });
  const dropped = dropRows(gpu, x, active, site);
  gpu.run(loraGradient, {
    params: {
      ...common,
      wide_count: inputs,
      wide_stride: inputs,
      wide_first: 0,
      first: site.aFirst,
      wide_step: 1,
      narrow_step: inputs,
      scale: 1,
    },
    buffers: { wide: dropped, narrow: dz, gradient: gradient.values },
  });
  if (dropped !== x) gpu.free(dropped);
  if (dx) {
    // The mask acts on LoRA's share of the gradient only, so that share is made on its own before it is added.
    const masked = active.dropout ? gpu.tensor("dx through LoRA", "f32", [rows, inputs]) : dx;
    gpu.run(matmulBackward, {
      params: {
        rows,
        columns: rank,
        depth: inputs,
        dy_stride: rank,
        dy_first: 0,
        scale: 1,
        accumulate: active.dropout ? 0 : 1,
      },
      buffers: { dy: dz, weight: site.a, dx: masked },
    });
    if (active.dropout) {
      drop(gpu, masked, dx, rows, inputs, active.dropout, site, true);
      gpu.free(masked);
    }
  }
  gpu.free(dz);
}

/** The adapted rows of x after dropout: x itself without dropout, else a new tensor. */
function dropRows(gpu: Gpu, x: Tensor, { rows, dropout: settings }: ActiveAdapter, site: LoraSite): Tensor {
  if (!settings) return x;
  const y = gpu.tensor("dropped", "f32", [rows, site.inputs]);
  drop(gpu, x, y, rows, site.inputs, settings, site, false);
  return y;
}

function drop(
  gpu: Gpu,
  x: Tensor,
  y: Tensor,
  rows: number,
  width: number,
  { probability, seed, step, counters }: Dropout,
  site: LoraSite,
  accumulate: boolean,
): void {
  gpu.run(dropout, {
    params: { rows, width, probability, seed, step, site: site.index, accumulate: accumulate ? 1 : 0 },
    buffers: { counters, x, y },
  });
}

type Product = KernelCall<ParamOf<typeof matmul>, BufferOf<typeof matmul>, never>;

/** Picks the algorithm by the number of rows: few rows leave most of a tile idle. */
function product(gpu: Gpu, rows: number, call: Product): void {
  if (rows === 1) gpu.run(matmulSkinny, { ...call, constants: { row_tile: 1 } });
  else if (rows <= SKINNY_ROWS) gpu.run(matmulSkinny, call);
  else gpu.run(matmul, call);
}
