import { logSoftmax } from "./loss.ts";

/** The first index of the largest value. */
export function argmax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < logits.length; index++) if (logits[index] > logits[best]) best = index;
  return best;
}

/** How a token is drawn. */
export interface TopPOptions {
  readonly temperature: number;
  readonly topP: number;
}

/** Probabilities of a row and which of its tokens may be drawn. */
export interface Kept {
  readonly probabilities: readonly number[];
  readonly kept: readonly boolean[];
  /** Distance of `topP` from the nearest mass at which another set would be kept: how far rounding must not go. */
  readonly margin: number;
}

/**
 * The smallest set of most probable tokens whose mass reaches `topP`, by sorting and adding up.
 * A token is kept if strictly more probable ones have less than `topP`; the most probable are always kept.
 */
export function topP(logits: ArrayLike<number>, { temperature, topP }: TopPOptions): Kept {
  const values = Array.from(logits);
  const probabilities = logSoftmax(values.map((value) => value / temperature)).map(Math.exp);
  const order = values.map((_, token) => token).sort((a, b) => values[b] - values[a]);
  const kept = new Array<boolean>(values.length).fill(topP >= 1);
  let above = 0, sum = 0, margin = topP >= 1 ? 1 : topP;
  order.forEach((token, rank) => {
    if (rank > 0 && values[token] < values[order[rank - 1]]) above = sum;
    if (above === 0 || above < topP) kept[token] = true;
    sum += probabilities[token];
    if (topP < 1) margin = Math.min(margin, Math.abs(sum - topP));
  });
  return { probabilities, kept, margin };
}

/** A token drawn with `uniform` in [0, 1), and how far `uniform` is from where it would give another. */
export interface Draw {
  readonly token: number;
  readonly margin: number;
}

/** Inverts the cumulative distribution of the kept tokens, in index order. */
export function draw({ probabilities, kept }: Kept, uniform: number): Draw {
  const masses = probabilities.map((probability, token) => kept[token] ? probability : 0);
  const goal = uniform * masses.reduce((sum, mass) => sum + mass, 0);
  let token = 0, start = 0, margin = Infinity;
  masses.forEach((mass, index) => {
    if (mass === 0) return;
    if (start <= goal) token = index;
    if (start > 0) margin = Math.min(margin, Math.abs(start - goal));
    start += mass;
  });
  return { token, margin };
}
