import { UserError } from "../errors.ts";
import type { Generation, Prompt } from "../records.ts";
import { promptText } from "../records.ts";
import { encodeWithin } from "../query.ts";
import type { GenerationOptions, LanguageModel, PromptStyle } from "../types.ts";

/**
 * Has the model answer each prompt.
 *
 * @returns answers as they are finished, with the index of their prompt
 */
export async function* generateAnswers(
  model: LanguageModel,
  prompts: readonly Prompt[],
  style: PromptStyle,
  options: GenerationOptions,
): AsyncIterable<{ readonly index: number; readonly answer: Generation }> {
  const { contextLength } = model, { maxNewTokens } = options;
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
    encodeWithin(model.tokenizer, promptText(prompt), limit, prompt.id)
  );
  for await (const { index, tokens } of model.generate(sequences, options)) {
    const output = style.cleanUp(model.tokenizer.decode(tokens), style.defaults);
    yield { index, answer: { ...prompts[index], output } };
  }
}
