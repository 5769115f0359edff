/**
 * Angles of the rotary position embedding, with the scalings that let a model read further than it was trained to.
 *
 * Formulas as in `transformers/modeling_rope_utils.py`; all in f64, as angles of late positions need it.
 */
import type { RopeScaling, TransformerDescription } from "../core/types.ts";

type RopeShape = Pick<TransformerDescription, "headDim" | "ropeTheta" | "ropeScaling">;

/** Angular speed of each pair of a head, in radians a token, and what cosines and sines are multiplied by. */
export interface RopeFrequencies {
  /** `[D/2]` */
  readonly speeds: Float64Array;
  readonly amplitude: number;
}

/**
 * The frequencies of a model.
 *
 * @param length tokens of the sequence, which `dynamic` scaling depends on once it is longer than the original context
 */
export function ropeFrequencies({ headDim, ropeTheta, ropeScaling }: RopeShape, length = 0): RopeFrequencies {
  const speedsFor = (base: number) =>
    Float64Array.from({ length: headDim / 2 }, (_, pair) => base ** (-2 * pair / headDim));
  const speeds = speedsFor(ropeTheta);
  switch (ropeScaling?.type) {
    case undefined:
      return { speeds, amplitude: 1 };
    case "linear":
      return { speeds: speeds.map((speed) => speed / ropeScaling.factor), amplitude: 1 };
    case "dynamic": {
      const { factor, originalContext } = ropeScaling;
      const grown = factor * Math.max(length, originalContext) / originalContext - (factor - 1);
      return { speeds: speedsFor(ropeTheta * grown ** (headDim / (headDim - 2))), amplitude: 1 };
    }
    case "llama3":
      return { speeds: speeds.map((speed) => llama3Speed(speed, ropeScaling)), amplitude: 1 };
    case "yarn":
      return {
        speeds: speeds.map((speed, pair) => yarnSpeed(speed, pair, { headDim, ropeTheta }, ropeScaling)),
        amplitude: ropeScaling.attentionFactor,
      };
  }
}

/** Whether a sequence of so many tokens has frequencies of its own. */
export function dependsOnLength({ ropeScaling }: RopeShape, length: number): boolean {
  return ropeScaling?.type === "dynamic" && length > ropeScaling.originalContext;
}

/**
 * Cosine and sine of every pair at some positions: `[positions, D/2, 2]`.
 *
 * @param of frequencies of the n-th position
 */
export function ropeTable(
  positions: readonly number[],
  half: number,
  of: (index: number) => RopeFrequencies,
): Float32Array<ArrayBuffer> {
  const table = new Float32Array(positions.length * half * 2);
  positions.forEach((position, index) => {
    const { speeds, amplitude } = of(index);
    for (let pair = 0; pair < half; pair++) {
      const angle = position * speeds[pair], at = 2 * (index * half + pair);
      table[at] = amplitude * Math.cos(angle);
      table[at + 1] = amplitude * Math.sin(angle);
    }
  });
  return table;
}

function llama3Speed(
  speed: number,
  { factor, lowFrequencyFactor, highFrequencyFactor, originalContext }: RopeScaling & { type: "llama3" },
): number {
  const turns = originalContext * speed / (2 * Math.PI);
  if (turns < lowFrequencyFactor) return speed / factor;
  if (turns > highFrequencyFactor) return speed;
  const kept = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return (1 - kept) * speed / factor + kept * speed;
}

/** Pairs that turn often within the original context keep their speed, slow ones are divided, those between blended. */
function yarnSpeed(
  speed: number,
  pair: number,
  { headDim, ropeTheta }: Pick<RopeShape, "headDim" | "ropeTheta">,
  { factor, originalContext, betaFast, betaSlow, truncate }: RopeScaling & { type: "yarn" },
): number {
  // The pair, perhaps between two, that makes so many turns within the original context.
  const pairOf = (turns: number) =>
    headDim * Math.log(originalContext / (turns * 2 * Math.PI)) / (2 * Math.log(ropeTheta));
  const [first, last] = truncate
    ? [Math.floor(pairOf(betaFast)), Math.ceil(pairOf(betaSlow))]
    : [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(first, 0), high = Math.min(last, headDim - 1);
  const slowed = Math.min(1, Math.max(0, (pair - low) / (low === high ? 0.001 : high - low)));
  return slowed * speed / factor + (1 - slowed) * speed;
}
