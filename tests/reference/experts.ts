/**
 * Experts: each token `t` chooses `perToken` of them, its choices `(t, j)` are numbered `t * perToken + j`, and sorted
 * by expert into slots. What an expert computes lies in the slots of its choices.
 */
import { swiglu, swigluBackward } from "./swiglu.ts";

/** Who computes what, as `route_experts` lays it out. */
export interface Routing {
  /** `[tokens, perToken]`: the expert of each choice */
  readonly experts: number[];
  /** `[tokens, perToken]`: its share in the token's output */
  readonly weights: number[];
  /** `[tokens, perToken]`: its slot */
  readonly slots: number[];
  /** The choice in each slot. */
  readonly choices: number[];
  /** `[count, 3]`: first slot of an expert, the one behind its last of the first `adapted` tokens, behind its last */
  readonly spans: number[];
}

/** Sizes of a routing. */
export interface RoutingShape {
  readonly tokens: number;
  readonly count: number;
  readonly perToken: number;
  /** Of the tokens, those that run with an adapter; all if absent. */
  readonly adapted?: number;
}

/** The `perToken` experts with the largest of `logits` `[tokens, count]`, the first of equals, and their softmax. */
export function routeExperts(
  logits: ArrayLike<number>,
  { tokens, count, perToken, adapted = tokens }: RoutingShape,
): Routing {
  const all = Array.from({ length: count }, (_, expert) => expert);
  const byToken = Array.from({ length: tokens }, (_, token) => {
    const row = all.map((expert) => logits[token * count + expert]);
    return all.toSorted((a, b) => row[b] - row[a] || a - b).slice(0, perToken);
  });
  const experts = byToken.flat();
  const choices = all.flatMap((expert) =>
    experts.flatMap((chosen, choice) => chosen === expert ? [choice] : [])
  );
  const slots = experts.map((_, choice) => choices.indexOf(choice));
  const before = (slot: number, expert: number, limit: number) =>
    experts.filter((chosen, choice) => choice < limit && chosen === expert).length + slot;
  let first = 0;
  const spans = all.flatMap((expert) => {
    const span = [first, before(first, expert, adapted * perToken), before(first, expert, experts.length)];
    first = span[2];
    return span;
  });
  return {
    experts,
    weights: expertWeights(logits, experts, { tokens, count, perToken }),
    slots,
    choices,
    spans,
  };
}

/** Softmax over the logits of the experts that each token chose: `[tokens, perToken]`. */
export function expertWeights(
  logits: ArrayLike<number>,
  experts: readonly number[],
  { tokens, count, perToken }: RoutingShape,
): number[] {
  return Array.from({ length: tokens }, (_, token) => {
    const chosen = experts.slice(token * perToken, (token + 1) * perToken);
    const values = chosen.map((expert) => logits[token * count + expert]);
    const largest = Math.max(...values);
    const exponentials = values.map((value) => Math.exp(value - largest));
    const total = exponentials.reduce((sum, value) => sum + value, 0);
    return exponentials.map((value) => value / total);
  }).flat();
}

/** The gradient of {@linkcode expertWeights} for the logits: `[tokens, count]`. */
export function routeExpertsBackward(
  { experts, weights }: Pick<Routing, "experts" | "weights">,
  dweights: ArrayLike<number>,
  { tokens, count, perToken }: RoutingShape,
): Float64Array {
  const dlogits = new Float64Array(tokens * count);
  for (let token = 0; token < tokens; token++) {
    const choices = Array.from({ length: perToken }, (_, j) => token * perToken + j);
    const mean = choices.reduce((sum, choice) => sum + weights[choice] * dweights[choice], 0);
    for (const choice of choices) {
      dlogits[token * count + experts[choice]] = weights[choice] * (dweights[choice] - mean);
    }
  }
  return dlogits;
}

/** Shape of the experts' matrices, `[count · columns, depth]`, one below the other. */
export interface ExpertShape {
  readonly columns: number;
  readonly depth: number;
  /** Slots of each token where the operand of a slot lies by token, 0 where it lies by slot. */
  readonly slotsPerToken: number;
}

type Choices = Pick<Routing, "experts" | "choices">;

const rowOf = ({ choices }: Choices, slot: number, slotsPerToken: number) =>
  slotsPerToken === 0 ? slot : Math.floor(choices[slot] / slotsPerToken);

/** `y[s] = W[expert of s] x[slot or token]`: `[slots, columns]`. */
export function expertMatmul(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  routing: Choices,
  { columns, depth, slotsPerToken }: ExpertShape,
): Float64Array {
  const { experts, choices } = routing;
  return Float64Array.from({ length: choices.length * columns }, (_, index) => {
    const slot = Math.floor(index / columns);
    const row = rowOf(routing, slot, slotsPerToken);
    const weightRow = experts[choices[slot]] * columns + index % columns;
    let sum = 0;
    for (let k = 0; k < depth; k++) sum += x[row * depth + k] * weight[weightRow * depth + k];
    return sum;
  });
}

/** `dx[s] = W[expert of s]ᵀ dy[slot or token]`: `[slots, depth]`. */
export function expertMatmulBackward(
  dy: ArrayLike<number>,
  weight: ArrayLike<number>,
  routing: Choices,
  { columns, depth, slotsPerToken }: ExpertShape,
): Float64Array {
  const { experts, choices } = routing;
  const dx = new Float64Array(choices.length * depth);
  choices.forEach((choice, slot) => {
    const row = rowOf(routing, slot, slotsPerToken);
    for (let c = 0; c < columns; c++) {
      const weightRow = experts[choice] * columns + c;
      for (let k = 0; k < depth; k++) {
        dx[slot * depth + k] += dy[row * columns + c] * weight[weightRow * depth + k];
      }
    }
  });
  return dx;
}

/** `y[s] = weight · silu(gate) · up` with the weight of the slot's choice: `[slots, width]`. */
export function expertSwiglu(
  gateUp: ArrayLike<number>,
  weights: ArrayLike<number>,
  choices: ArrayLike<number>,
  width: number,
): Float64Array {
  return swiglu(gateUp, width).map((value, index) => weights[choices[Math.floor(index / width)]] * value);
}

/** The gradients of {@linkcode expertSwiglu}: `[slots, 2 width]`, and of each choice. */
export function expertSwigluBackward(
  gateUp: ArrayLike<number>,
  weights: ArrayLike<number>,
  { slots, choices }: Pick<Routing, "slots" | "choices">,
  dy: ArrayLike<number>,
  width: number,
): { dgateUp: Float64Array; dweights: Float64Array } {
  const activated = swiglu(gateUp, width);
  const weighted = Float64Array.from(
    dy,
    (value, index) => weights[choices[Math.floor(index / width)]] * value,
  );
  const dweights = Float64Array.from(slots, (slot) => {
    let sum = 0;
    for (let c = 0; c < width; c++) sum += dy[slot * width + c] * activated[slot * width + c];
    return sum;
  });
  return { dgateUp: swigluBackward(gateUp, weighted, width), dweights };
}

/** `y[t] = residual[t] + Σ_j x[slots[t, j]]`: `[tokens, width]`. */
export function sumExperts(
  x: ArrayLike<number>,
  residual: ArrayLike<number>,
  slots: readonly number[],
  { perToken, width }: { perToken: number; width: number },
): Float64Array {
  return Float64Array.from(residual, (value, index) => {
    const token = Math.floor(index / width);
    const own = slots.slice(token * perToken, (token + 1) * perToken);
    return own.reduce((sum, slot) => sum + x[slot * width + index % width], value);
  });
}
