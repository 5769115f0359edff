import { checkOptions, type Labeler } from "../../core/mod.ts";
import { words } from "./normalise.ts";

/** Options of `token-f1`. */
export interface TokenF1Options {
  /** F1 from which an answer is right, in (0, 1]. */
  readonly threshold: number;
}

/** 1 when the words of answer and target overlap enough, as SQuAD's F1 counts them. */
export const tokenF1: Labeler<TokenF1Options> = {
  kind: "labeler",
  name: "token-f1",
  version: 1,
  description: "1 when the words of answer and target have an F1 from a threshold on (SQuAD)",
  defaults: { threshold: 0.5 },
  help: { threshold: "F1 from which an answer is right" },
  check: (options) =>
    checkOptions(tokenF1, options, [
      ["threshold", options.threshold > 0 && options.threshold <= 1, "a number above 0, up to 1"],
    ]),
  label: ({ target, answer }, { threshold }) => f1(words(answer), words(target)) >= threshold ? 1 : 0,
};

/** Harmonic mean of precision and recall of words, each counted as often as it stands there. */
function f1(found: readonly string[], wanted: readonly string[]): number {
  if (found.length === 0 || wanted.length === 0) return found.length === wanted.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of found) {
    const count = left.get(word) ?? 0;
    if (count > 0) shared++;
    left.set(word, count - 1);
  }
  return 2 * shared / (found.length + wanted.length);
}
