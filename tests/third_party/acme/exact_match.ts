import type { Labeler } from "@credence/credence";

/** Options of {@linkcode exactMatch}. */
export interface ExactMatchOptions {
  /** Whether "Paris" and "paris" differ. */
  readonly caseSensitive: boolean;
}

/** 1 when the trimmed answer equals the target; undecided when there is no answer. */
export const exactMatch: Labeler<ExactMatchOptions> = {
  kind: "labeler",
  name: "acme/exact-match",
  version: 1,
  description: "1 when the trimmed answer equals the target",
  defaults: { caseSensitive: false },
  label({ answer, target }, { caseSensitive }) {
    const fold = (text: string) => caseSensitive ? text.trim() : text.trim().toLowerCase();
    return fold(answer) === "" ? null : fold(answer) === fold(target) ? 1 : 0;
  },
};
