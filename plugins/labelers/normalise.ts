/** Texts as SQuAD's evaluation compares them. */

/** Python's `string.punctuation`. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

const ARTICLES = /(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu;

/**
 * A text without what makes no difference: lower case, no ASCII punctuation, no English articles, one space between
 * words, as SQuAD's official evaluation does; and composed characters, so that `ü` is one letter however it was written.
 *
 * What would be nothing then, as the letter "a" of a choice or "?!", keeps its articles and punctuation.
 */
export function normalise(text: string): string {
  const lower = text.normalize("NFC").toLowerCase();
  const bare = spaced(lower.replace(PUNCTUATION, "").replace(ARTICLES, " "));
  return bare === "" ? spaced(lower) : bare;
}

/** The words of a normalised text. */
export function words(text: string): string[] {
  return normalise(text).split(" ").filter((word) => word !== "");
}

function spaced(text: string): string {
  return text.trim().replace(/\s+/g, " ");
}
