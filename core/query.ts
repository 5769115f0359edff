/** The question a model is asked about its own answer. */
import { UserError } from "./errors.ts";
import { answeredText, type Generation } from "./records.ts";
import type { Tokenizer } from "./types.ts";

/** A way to ask whether an answer is correct, and the tokens that answer. */
export interface QueryFormat {
  readonly name: string;
  /** What follows the proposed answer. */
  readonly suffix: string;
  /** Answers for "wrong" and "correct". */
  readonly answers: readonly [string, string];
}

/** The format the research code's adapters were trained on. */
export const ROMAN_CHOICE: QueryFormat = {
  name: "roman_choice",
  suffix: "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:",
  answers: ["i", "ii"],
};

/** The text that ends where the model is to say whether its answer is correct. */
export function queryText(row: Generation, { suffix }: QueryFormat = ROMAN_CHOICE): string {
  return answeredText(row, row.output) + suffix;
}

/** Token ids of the format's answers. @throws {UserError} of kind `data` if one is not a single token */
export function answerTokens(
  tokenizer: Tokenizer,
  { answers }: QueryFormat = ROMAN_CHOICE,
): [number, number] {
  return [tokenizer.answerToken(answers[0]), tokenizer.answerToken(answers[1])];
}

/** Ids of a text. @throws {UserError} of kind `data` if it is longer than the model can read */
export function encodeWithin(tokenizer: Tokenizer, text: string, limit: number, row: string): number[] {
  const ids = tokenizer.encode(text);
  if (ids.length > limit) {
    throw new UserError({
      kind: "data",
      what: `The text has ${ids.length} tokens, but the model reads at most ${limit}`,
      where: `row ${row}, which begins ${JSON.stringify(text.slice(0, 60))}`,
      fix: "use fewer worked examples (--kshot), leave the row out, or use a model with a longer context",
    });
  }
  return ids;
}
