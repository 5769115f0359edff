/** The question a model is asked about its own answer. */
import { UserError } from "./errors.ts";
import { type Generation, promptText } from "./records.ts";
import type { Tokenizer } from "./types.ts";

/** A way to ask whether an answer is correct, and the tokens that answer. */
export interface QueryFormat {
  /** As the research code calls it, for manifests. */
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
  return `${promptText(row)} ${row.output}${suffix}`;
}

/** Token ids of the format's answers. @throws {UserError} of kind `data` if one is not a single token of its own */
export function answerTokens(
  tokenizer: Tokenizer,
  { answers: [wrong, correct] }: QueryFormat = ROMAN_CHOICE,
): [number, number] {
  const tokens: [number, number] = [tokenizer.answerToken(wrong), tokenizer.answerToken(correct)];
  if (tokens[0] === tokens[1]) {
    throw new UserError({
      kind: "data",
      what: `"${wrong}" and "${correct}" end in the same token, so the answers cannot be told apart`,
      where: "tokenizer",
      fix: "use a model whose tokenizer has each as one token",
    });
  }
  return tokens;
}

/** Ends of answers that tokenizers join with what follows in different ways. */
const ANSWER_ENDS = ["a", "Z", "7", ".", ")", " ", "\n", "é", "語"];

/**
 * Token ids in which every question about an answer ends, whatever the answer. What of the question's beginning forms a
 * token with the answer's end is not among them.
 *
 * @throws {UserError} of kind `data` for a tokenizer that has no such tokens
 */
export function queryTokens(tokenizer: Tokenizer, { suffix }: QueryFormat = ROMAN_CHOICE): number[] {
  const [first, ...others] = ANSWER_ENDS.map((end) => tokenizer.encode(`${end}${suffix}`));
  let count = 0;
  while (count < first.length && others.every((ids) => ids.at(-1 - count) === first.at(-1 - count))) count++;
  if (count === 0) {
    throw new UserError({
      kind: "data",
      what: "The question about an answer ends in other tokens for every answer",
      where: "tokenizer",
      fix: "use a model whose tokenizer does not add what depends on the whole text",
    });
  }
  return first.slice(first.length - count);
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
