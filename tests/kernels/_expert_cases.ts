import type { Gpu } from "../../kernels/gpu.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import { routeExperts, type Routing, type RoutingShape } from "../reference/experts.ts";
import { noise } from "./_gpu.ts";

/** How tokens are spread over experts. */
export interface Spread extends RoutingShape {
  readonly why: string;
  /** The router's logits, `[tokens, count]`; noise if absent. */
  readonly logits?: Float32Array<ArrayBuffer>;
}

/** Logits with which every token chooses the same experts, the last ones first. */
export function crowded(tokens: number, count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: tokens * count }, (_, index) => index % count);
}

/** The logits of a spread, and who computes what. */
export function routed(spread: Spread): { logits: Float32Array<ArrayBuffer>; routing: Routing } {
  const logits = spread.logits ?? noise(spread.tokens * spread.count, 9);
  return { logits, routing: routeExperts(logits, spread) };
}

/** Where `expert_matmul` and its kin find their slots. */
export function uploadSlots(
  gpu: Gpu,
  { choices, spans }: Routing,
): { readonly spans: Tensor; readonly choices: Tensor } {
  return {
    spans: gpu.upload("spans", Uint32Array.from(spans), [spans.length / 3, 3]),
    choices: gpu.upload("choices", Uint32Array.from(choices)),
  };
}

/** Some rows of the experts' matrices, as in a part of a weight too large to be bound at once. */
export interface WeightPart {
  readonly first: number;
  readonly rows: number;
}

/** Rows `0` to `total`, cut behind each of `cuts`. */
export function partsOf(total: number, cuts: readonly number[]): WeightPart[] {
  return [0, ...cuts].map((first, index) => ({ first, rows: (cuts[index] ?? total) - first }));
}
