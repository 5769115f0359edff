import { guardPlugin, UserError } from "../errors.ts";
import type { Generation, Prompt } from "../records.ts";
import { promptText } from "../records.ts";
import { encodePrompt } from "../query.ts";
import { inParallel } from "../parallel.ts";
import type { GenerationOptions, LanguageModel, PromptStyle, TextModel, TextOptions } from "../types.ts";

/** How answers are written, and who watches. */
export interface AnswerOptions extends Omit<GenerationOptions, "onToken"> {
  /** Told of an answer as it grows: all of it so far, cleaned up, and only whole characters. */
  onText?(index: number, answer: string): void;
  /** When aborted, what is being written ends as it is. */
  readonly signal?: AbortSignal;
  /** Whether a prompt is put into the model's chat template; else the model reads its text. */
  readonly chat?: boolean;
  /** What the model reads for a prompt, where it is something else. */
  encode?(prompt: Prompt, limit: number): readonly number[];
}

/** An answer, and what became of it. */
export interface Answered {
  /** Of its prompt. */
  readonly index: number;
  /** The prompt with the answer behind it. */
  readonly answer: Generation;
  /** Ids the model wrote, also those that the clean-up leaves out. */
  readonly tokens: readonly number[];
  /** Mean log-probability of the tokens that were drawn, what ended them included, in nats. */
  readonly meanLogprob: number;
}

/**
 * Has the model answer each prompt. It stops writing where nothing that follows would count.
 *
 * @returns answers as they are finished, with the index of their prompt
 */
export async function* generateAnswers(
  model: LanguageModel,
  prompts: readonly Prompt[],
  style: PromptStyle,
  { onText, signal, chat = false, encode, ...options }: AnswerOptions,
): AsyncIterable<Answered> {
  const { contextLength, tokenizer } = model, { maxNewTokens } = options;
  const limit = contextLength - maxNewTokens;
  if (limit < 1) {
    throw new UserError({
      kind: "usage",
      what: `${maxNewTokens} new tokens leave no room for a prompt: the model reads at most ${contextLength}`,
      where: "--max-new-tokens",
      fix: `use less than ${contextLength}`,
    });
  }
  const sequences = prompts.map((prompt) =>
    encode?.(prompt, limit) ?? encodePrompt(tokenizer, prompt, { chat, limit })
  );
  const written = new Map<number, number[]>();
  const onToken = (index: number, token: number): boolean => {
    const ids = written.get(index) ?? [];
    written.set(index, ids);
    ids.push(token);
    const text = wholeCharacters(tokenizer.decode(ids));
    onText?.(index, style.cleanUp(text, style.defaults, prompts[index]));
    return !signal?.aborted && !style.isComplete?.(text, style.defaults, prompts[index]);
  };
  const watched = onText !== undefined || signal !== undefined || style.isComplete !== undefined;
  for await (
    const { index, tokens, logprob, drawn } of model.generate(
      sequences,
      watched ? { ...options, onToken } : options,
    )
  ) {
    written.delete(index);
    const output = cleanedUp(style, tokenizer.decode(tokens), prompts[index]);
    yield { index, answer: { ...prompts[index], output }, tokens, meanLogprob: logprob / Math.max(1, drawn) };
  }
}

/**
 * Has a model that gives nothing but text answer each prompt, several at once where it allows that.
 *
 * @returns answers as they are finished, with the index of their prompt
 */
export async function* writeAnswers(
  model: TextModel,
  prompts: readonly Prompt[],
  style: PromptStyle,
  options: TextOptions,
): AsyncIterable<Pick<Answered, "index" | "answer">> {
  const texts = prompts.map(promptText);
  await guarded(model, "preparing", async () => await model.prepare?.(texts, options));
  const write = (index: number) =>
    guarded(model, `row ${prompts[index].id}`, () => model.write(texts[index], options));
  for await (
    const { index, value } of inParallel(prompts.length, Math.max(1, model.concurrency ?? 1), write)
  ) {
    yield { index, answer: { ...prompts[index], output: cleanedUp(style, value, prompts[index]) } };
  }
}

/** The answer in what was written. @throws {UserError} of kind `plugin` if the style gives no text */
function cleanedUp(style: PromptStyle, written: string, prompt: Prompt): string {
  const answer: unknown = style.cleanUp(written, style.defaults, prompt);
  if (typeof answer === "string") return answer;
  throw new UserError({
    kind: "plugin",
    what: `Prompt style "${style.name}" gave ${JSON.stringify(answer) ?? String(answer)} as an answer`,
    where: `cleanUp() of row ${prompt.id}`,
    fix: "give a text; it may be empty",
  });
}

const guarded = <T>({ name }: TextModel, where: string, work: () => Promise<T>) =>
  guardPlugin(`Model "${name}"`, "--model-name", where, work);

/** A text without the character at its end that is not all there: what bytes are there of it read as U+FFFD. */
function wholeCharacters(text: string): string {
  let end = text.length;
  while (text[end - 1] === "\uFFFD") end--;
  return text.slice(0, end);
}
