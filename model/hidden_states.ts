/** Which hidden states are asked for: checks that need no GPU. */
import { UserError } from "../core/errors.ts";
import type { TokenSpan } from "../core/types.ts";
import { checkSequences } from "./batch.ts";

/**
 * Layers counted from 0, the embedding; negative ones are counted from the end.
 *
 * @throws {UserError} of kind `usage` for one that a model of so many blocks does not have, or for none
 */
export function layerNumbers(layers: readonly number[], blocks: number): number[] {
  const refuse = (what: string) =>
    new UserError({
      kind: "usage",
      what,
      where: "layers",
      fix: `use whole numbers from 0, the embedding, to ${blocks}, or from -1, the last, to ${-blocks - 1}`,
    });
  if (layers.length === 0) throw refuse("No layer is named");
  return layers.map((layer) => {
    const number = layer < 0 ? blocks + 1 + layer : layer;
    if (Number.isInteger(number) && number >= 0 && number <= blocks) return number;
    throw refuse(`The model has no layer ${layer}`);
  });
}

/** Refuses spans of sequences that a model cannot read, and empty ones. */
export function checkSpans(spans: readonly TokenSpan[], limit: number): void {
  checkSequences(spans.map(({ tokens }) => tokens), limit);
  const index = spans.findIndex(({ tokens, first, end }) =>
    !(Number.isInteger(first) && Number.isInteger(end) && first >= 0 && first < end && end <= tokens.length)
  );
  if (index < 0) return;
  const { tokens, first, end } = spans[index];
  throw new RangeError(`Span ${index} is of tokens ${first} to ${end} of ${tokens.length}`);
}
