import { checkOptions, type Labeler } from "../../core/mod.ts";

/** Options of `numeric`. */
export interface NumericOptions {
  /** How far an answer may be off, as a share of the target; of 1 where that is smaller. */
  readonly tolerance: number;
}

/**
 * 1 when the number of the answer is that of the target: the one behind GSM8K's `####`, else the last. Undecided where
 * the target holds no number.
 */
export const numeric: Labeler<NumericOptions> = {
  kind: "labeler",
  name: "numeric",
  version: 1,
  description: "1 when the number behind #### in the answer, else its last, is that of the target",
  defaults: { tolerance: 1e-6 },
  help: { tolerance: "how far an answer may be off, as a share" },
  check: (options) =>
    checkOptions(numeric, options, [["tolerance", options.tolerance >= 0, "a number from 0"]]),
  label({ target, answer }, { tolerance }) {
    const wanted = numberIn(target);
    if (wanted === undefined) return null;
    const found = numberIn(answer);
    if (found === undefined) return 0;
    return Math.abs(found - wanted) <= tolerance * Math.max(1, Math.abs(wanted)) ? 1 : 0;
  },
};

/**
 * A sign that is none of a difference, perhaps a currency; digits, in groups of three behind a comma, an apostrophe, an
 * underscore or a narrow space, or without; a fraction; an exponent. Not within a word, as in "H2O".
 */
const NUMBER =
  /(?<![\p{L}\d.,_])(?:(?<![\d)]\s*)([-−+])\s?)?[$€£¥]?\s?((?:\d{1,3}(?:[,'’_\u00a0\u2009\u202f]\d{3})+|\d+)(?:\.\d+)?|\.\d+)(e[-+]?\d{1,3})?(?![\d])/giu;

function numberIn(text: string): number | undefined {
  const mark = text.lastIndexOf("####");
  const all = [...text.slice(mark < 0 ? 0 : mark + 4).matchAll(NUMBER)];
  // What follows the mark begins with the answer; without one, the answer is what a solution ends with.
  const match = mark < 0 ? all.at(-1) : all[0];
  if (!match) return undefined;
  const [, sign = "", digits, exponent = ""] = match;
  const value = Number(digits.replace(/[^\d.]/g, "") + exponent);
  return sign === "-" || sign === "−" ? -value : value;
}
