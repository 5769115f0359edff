/**
 * A feed-forward block of several experts, of which each token passes through a few.
 *
 * Which ones is decided on the GPU and stays there: the host starts as many workgroups as any spread of tokens over
 * experts could need, and those without work return at once. `E` is the number of experts, `k` that of one token, `S`
 * the number of slots, `k` for each token; kernels/README.md says what a slot is.
 */
import type { ExpertDescription } from "../core/types.ts";
import { expertMatmul } from "../kernels/expert_matmul.ts";
import { expertMatmulBackward } from "../kernels/expert_matmul_backward.ts";
import { expertMatmulSkinny } from "../kernels/expert_matmul_skinny.ts";
import { expertSwiglu } from "../kernels/expert_swiglu.ts";
import { expertSwigluBackward } from "../kernels/expert_swiglu_backward.ts";
import type { Gpu } from "../kernels/gpu.ts";
import type { Family } from "../kernels/kernel.ts";
import { routeExperts } from "../kernels/route_experts.ts";
import { routeExpertsBackward } from "../kernels/route_experts_backward.ts";
import { sumExperts } from "../kernels/sum_experts.ts";
import type { Tensor } from "../kernels/tensor.ts";
import { linear, linearBackward } from "./linear.ts";
import type { Matrix } from "./matrix.ts";

/** Slots of an expert, on average, up to which a product is bound by loading the weights, not by arithmetic. */
const SKINNY_SLOTS = 2;

/** Slots that a tile of a product may have: the smallest with room for an expert's slots leaves least of it idle. */
const TILES: Readonly<Record<Family, readonly number[]>> = { cpu: [8, 16], gpu: [16, 32, 64] };

/** The matrices of one block of experts, those of all experts one below the other. */
export interface ExpertWeights {
  /** `[E, C]` */
  readonly router: Matrix;
  /** `[E·2F, C]`: of each expert gate, then up */
  readonly gateUp: Matrix;
  /** `[E·C, F]` */
  readonly down: Matrix;
}

/** Which tokens go to which experts: what `route_experts` gives. */
export interface Routing {
  /** `[T, k]` u32: the experts of each token, and the slots of its choices */
  readonly experts: Tensor;
  readonly slots: Tensor;
  /** `[T, k]` f32: the experts' shares in the token's output */
  readonly weights: Tensor;
  /** `[S]` u32: the choice in each slot */
  readonly choices: Tensor;
  /** `[E, 3]` u32: slots of each expert */
  readonly spans: Tensor;
}

/** Sizes of one pass through a block of experts. */
export interface ExpertPass extends ExpertDescription {
  /** `T` */
  readonly rows: number;
  /** The first rows, which the backward pass is about. */
  readonly adaptedRows: number;
}

/**
 * `residual + Σ_j weight_j · expert_j(x)` over the experts of each token.
 *
 * @param x `[T, C]`
 * @param residual `[T, C]`
 * @returns `y` `[T, C]`, and what {@linkcode expertsBackward} needs, `gateUp` `[S, 2F]`; the caller frees all
 */
export function expertsForward(
  gpu: Gpu,
  weights: ExpertWeights,
  x: Tensor,
  residual: Tensor,
  pass: ExpertPass,
): { readonly y: Tensor; readonly gateUp: Tensor; readonly routing: Routing } {
  const { rows, perToken } = pass;
  const slots = rows * perToken, width = weights.down.columns;
  const routing = route(gpu, weights.router, x, pass);
  const gateUp = product(gpu, weights.gateUp, x, routing, pass, perToken);
  const activated = gpu.tensor("gated", "f32", [slots, width]);
  gpu.run(expertSwiglu, {
    params: { slots, width },
    buffers: { choices: routing.choices, weights: routing.weights, gate_up: gateUp, y: activated },
  });
  const outputs = product(gpu, weights.down, activated, routing, pass, 0);
  const y = sum(gpu, outputs, residual, routing, rows, perToken);
  gpu.free(activated, outputs);
  return { y, gateUp, routing };
}

/**
 * The gradient of {@linkcode expertsForward} for `x`, through the experts and through their weights in the sum.
 *
 * @param dy `[adapted rows, C]`
 * @returns `[adapted rows, C]`
 */
export function expertsBackward(
  gpu: Gpu,
  weights: ExpertWeights,
  gateUp: Tensor,
  routing: Routing,
  dy: Tensor,
  pass: ExpertPass,
): Tensor {
  const { adaptedRows: tokens, rows, count, perToken } = pass;
  const slots = rows * perToken, width = weights.down.columns;
  const dActivated = productBackward(gpu, weights.down, dy, routing, pass, perToken);
  const dGateUp = gpu.tensor("dgate_up", "f32", [slots, 2 * width]);
  const dWeights = gpu.tensor("dweights", "f32", [tokens, perToken]);
  gpu.run(expertSwigluBackward, {
    params: { count: tokens * perToken, rows: slots, width },
    buffers: {
      slots: routing.slots,
      weights: routing.weights,
      gate_up: gateUp,
      dy: dActivated,
      dgate_up: dGateUp,
      dweights: dWeights,
    },
  });
  const dSlots = productBackward(gpu, weights.gateUp, dGateUp, routing, pass, 0);

  const stride = logitStride(count);
  const dLogits = gpu.tensor("drouter logits", "f32", [tokens, stride]);
  gpu.run(routeExpertsBackward, {
    params: { tokens, per_token: perToken, stride },
    buffers: { experts: routing.experts, weights: routing.weights, dweights: dWeights, dlogits: dLogits },
  });
  const dRouted = gpu.tensor("drouted", "f32", [tokens, weights.router.columns]);
  linearBackward(gpu, weights.router, tokens, { dy: dLogits, stride, first: 0 }, dRouted, false);
  const dx = sum(gpu, dSlots, dRouted, routing, tokens, perToken);
  gpu.free(dActivated, dGateUp, dWeights, dSlots, dLogits, dRouted);
  return dx;
}

/** Columns of a row of the router's logits: what `matmul_backward` reads is a multiple of 4. */
function logitStride(count: number): number {
  return Math.ceil(count / 4) * 4;
}

function route(
  gpu: Gpu,
  router: Matrix,
  x: Tensor,
  { rows, adaptedRows, count, perToken }: ExpertPass,
): Routing {
  const stride = logitStride(count);
  const logits = gpu.tensor("router logits", "f32", [rows, stride]);
  linear(gpu, router, x, rows, { y: logits, stride, first: 0 });
  const routing: Routing = {
    experts: gpu.tensor("experts", "u32", [rows, perToken]),
    weights: gpu.tensor("expert weights", "f32", [rows, perToken]),
    slots: gpu.tensor("slots", "u32", [rows, perToken]),
    choices: gpu.tensor("choices", "u32", [rows * perToken]),
    spans: gpu.tensor("spans", "u32", [count, 3]),
  };
  gpu.run(routeExperts, {
    params: { tokens: rows, count, per_token: perToken, stride, adapted: adaptedRows },
    buffers: { logits, ...routing },
  });
  gpu.free(logits);
  return routing;
}

/**
 * Each slot's row of `x` times the matrix of its expert.
 *
 * @param slotsPerToken `k` where the rows of `x` are those of tokens, 0 where they are those of slots
 */
function product(
  gpu: Gpu,
  weight: Matrix,
  x: Tensor,
  { choices, spans }: Routing,
  { rows, count, perToken }: ExpertPass,
  slotsPerToken: number,
): Tensor {
  const slots = rows * perToken, columns = weight.rows / count;
  const y = gpu.tensor("of experts", "f32", [slots, columns]);
  for (const { first, tensor } of weight.parts) {
    const [weightRows, depth] = tensor.shape;
    const call = {
      params: {
        slots,
        experts: count,
        slots_per_token: slotsPerToken,
        columns,
        depth,
        weight_first: first,
        weight_rows: weightRows,
      },
      buffers: { spans, choices, x, weight: tensor, y },
    };
    if (rows === 1) gpu.run(expertMatmulSkinny, { ...call, constants: { row_tile: 1 } });
    else if (slots <= SKINNY_SLOTS * count) gpu.run(expertMatmulSkinny, call);
    else gpu.run(expertMatmul, { ...call, constants: { row_tile: rowTile(gpu, slots / count) } });
  }
  return y;
}

/** The gradient of {@linkcode product} for the rows of `x` as slots read them; those of other tokens stay undefined. */
function productBackward(
  gpu: Gpu,
  weight: Matrix,
  dy: Tensor,
  { choices, spans }: Routing,
  { rows, adaptedRows, count, perToken }: ExpertPass,
  slotsPerToken: number,
): Tensor {
  const slots = rows * perToken, adapted = adaptedRows * perToken;
  const dx = gpu.tensor("dof experts", "f32", [slots, weight.columns]);
  for (const { first, tensor } of weight.parts) {
    const [weightRows, depth] = tensor.shape;
    gpu.run(expertMatmulBackward, {
      params: {
        slots,
        adapted,
        experts: count,
        slots_per_token: slotsPerToken,
        columns: weight.rows / count,
        depth,
        weight_first: first,
        weight_rows: weightRows,
      },
      buffers: { spans, choices, dy, weight: tensor, dx },
      constants: { row_tile: rowTile(gpu, adapted / count) },
    });
  }
  return dx;
}

function rowTile(gpu: Gpu, slots: number): number {
  const sizes = TILES[gpu.adapter.family];
  return sizes.find((size) => size >= slots) ?? sizes[sizes.length - 1];
}

/** Each token's residual, and the rows of its slots. */
function sum(
  gpu: Gpu,
  x: Tensor,
  residual: Tensor,
  { slots }: Routing,
  tokens: number,
  perToken: number,
): Tensor {
  const [rows, width] = x.shape;
  const y = gpu.tensor(residual.label, "f32", [tokens, width]);
  gpu.run(sumExperts, {
    params: { tokens, per_token: perToken, width, rows },
    buffers: { slots, x, residual, y },
  });
  return y;
}
