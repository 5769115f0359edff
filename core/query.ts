/** The question a model is asked about its own answer. */
import { suggestion, UserError } from "./errors.ts";
import { encodeChat, questionTurn } from "./chat.ts";
import { type Generation, type Prompt, promptText } from "./records.ts";
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

const QUESTION = "\n\nIs the proposed answer correct?";

/** Two choices by these names. */
const choices = (name: string, wrong: string, correct: string): QueryFormat => ({
  name,
  suffix: `${QUESTION}\nChoices:\n(${wrong}): no\n(${correct}): yes\nAnswer:`,
  answers: [wrong, correct],
});

/** The format the research code's adapters were trained on. */
export const ROMAN_CHOICE: QueryFormat = choices("roman_choice", "i", "ii");

/** Every format; the research code has the answers of all, but words the question of `roman_choice` only. */
export const QUERY_FORMATS: readonly QueryFormat[] = [
  ROMAN_CHOICE,
  choices("alpha_choice", "a", "b"),
  { name: "bool", suffix: `${QUESTION}\nAnswer:`, answers: ["no", "yes"] },
];

/**
 * A format by its name.
 *
 * @param where what named it, for the message
 * @throws {UserError} of kind `usage`, naming the nearest, if there is none
 */
export function queryFormat(name: string, where = "--query-format"): QueryFormat {
  const found = QUERY_FORMATS.find((format) => format.name === name);
  if (found) return found;
  throw new UserError({
    kind: "usage",
    what: `Unknown query format "${name}"`,
    where,
    fix: suggestion(name, QUERY_FORMATS.map(({ name }) => name)),
  });
}

/** The text that ends where the model is to say whether its answer is correct. */
export function queryText(row: Generation, { suffix }: QueryFormat = ROMAN_CHOICE): string {
  return `${promptText(row)} ${row.output}${suffix}`;
}

/**
 * Token ids of the format's answers.
 *
 * @throws {UserError} of kind `data` if one is not a single token of its own, naming the formats whose answers are
 */
export function answerTokens(tokenizer: Tokenizer, format: QueryFormat = ROMAN_CHOICE): [number, number] {
  const found = findAnswers(tokenizer, format);
  if ("tokens" in found) return found.tokens;
  const others = QUERY_FORMATS.filter((other) => "tokens" in findAnswers(tokenizer, other)).map(({ name }) =>
    name
  );
  throw new UserError({
    kind: "data",
    what: `The query format ${format.name} cannot be used: ${found.why}`,
    where: found.where,
    fix: others.length > 0
      ? `use --query-format=${others.join(" or ")}, whose answers are, or another model`
      : "use a model whose tokenizer has each answer as one token",
  });
}

/** Whether a format's answers are single tokens for a model; if not, which are none. */
export function findAnswers(
  tokenizer: Tokenizer,
  { answers }: QueryFormat,
): { readonly tokens: [number, number] } | { readonly why: string; readonly where: string } {
  const tokens: number[] = [], split: string[] = [];
  let where = "the tokenizer of the model";
  for (const answer of answers) {
    try {
      tokens.push(tokenizer.answerToken(answer));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      split.push(`"${answer}"`);
      where = error.where;
    }
  }
  const [wrong, correct] = tokens;
  if (split.length === 0 && wrong !== correct) return { tokens: [wrong, correct] };
  const why = split.length > 0
    ? `${split.join(" and ")} ${split.length > 1 ? "are" : "is"} not a single token`
    : `"${answers[0]}" and "${answers[1]}" end in the same token`;
  return { why, where };
}

/** How a row is asked about. */
export interface QueryOptions {
  /** The words; {@linkcode ROMAN_CHOICE} if absent. */
  readonly format?: QueryFormat;
  /** Whether question, answer and query are turns of a chat; else they are one text. */
  readonly chat?: boolean;
  /** Tokens that the model reads at most. */
  readonly limit: number;
}

/**
 * Ids that end where the model is to say whether its answer is correct.
 *
 * @throws {UserError} of kind `data` if they are more than the model can read
 */
export function encodeQuery(
  tokenizer: Tokenizer,
  row: Generation,
  { format = ROMAN_CHOICE, chat = false, limit }: QueryOptions,
): number[] {
  if (!chat) return encodeWithin(tokenizer, queryText(row, format), limit, row.id);
  const answer = { role: "assistant", content: row.output };
  const turns = [questionTurn(row), answer, { role: "user", content: format.suffix.trim() }];
  return within(encodeChat(tokenizer, turns), promptText(row), limit, row.id);
}

/**
 * Ids that end where the model is to answer a prompt: of its text, or of a chat whose turn it is.
 *
 * @throws {UserError} of kind `data` if they are more than the model can read
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  prompt: Prompt,
  { chat = false, limit }: Omit<QueryOptions, "format">,
): number[] {
  const text = promptText(prompt);
  if (!chat) return encodeWithin(tokenizer, text, limit, prompt.id);
  return within(encodeChat(tokenizer, [questionTurn(prompt)]), text, limit, prompt.id);
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
  return within(tokenizer.encode(text), text, limit, row);
}

function within(ids: number[], text: string, limit: number, row: string): number[] {
  if (ids.length <= limit) return ids;
  throw new UserError({
    kind: "data",
    what: `The text has ${ids.length} tokens, but the model reads at most ${limit}`,
    where: `row ${row}, which begins ${JSON.stringify(text.slice(0, 60))}`,
    fix: "use fewer worked examples (--kshot), leave the row out, or use a model with a longer context",
  });
}
