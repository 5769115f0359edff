/** Questions as turns of a chat, for models that were tuned on those. */
import { UserError } from "./errors.ts";
import { type Prompt, promptText } from "./records.ts";
import type { ChatMessage, Tokenizer } from "./types.ts";

/** The research code's instruction for chat models, as the system turn. */
export const CHAT_INSTRUCTION: string =
  "You are an expert who responds with concise, correct answers. Directly state the answer without " +
  "phrases like 'the correct answer is'";

/** Whether a model is asked in its chat template: where it has one, in any case, or never. */
export const CHAT_USES = ["auto", "on", "off"] as const;

/** One of {@linkcode CHAT_USES}. */
export type ChatUse = typeof CHAT_USES[number];

/** Whether a model is asked in its chat template. @throws {UserError} of kind `usage` if it has none and must be */
export function usesChat(tokenizer: Tokenizer, use: ChatUse): boolean {
  if (use === "on") checkChat(tokenizer, "--chat=on", "leave it out, or use a model that was tuned on chats");
  return use !== "off" && tokenizer.chat !== undefined;
}

/** Refuses a model without a chat template. @throws {UserError} of kind `usage` for one */
export function checkChat(tokenizer: Tokenizer, where: string, fix: string): void {
  if (tokenizer.chat) return;
  throw new UserError({ kind: "usage", what: "The model has no chat template", where, fix });
}

/**
 * Ids of a chat up to where the model's turn begins, with {@linkcode CHAT_INSTRUCTION} as its system turn; where a
 * template knows no such turn, as Mistral's, the first one carries it.
 */
export function encodeChat(tokenizer: Tokenizer, turns: readonly ChatMessage[]): number[] {
  try {
    return tokenizer.chat!([{ role: "system", content: CHAT_INSTRUCTION }, ...turns]);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const [first, ...rest] = turns;
    return tokenizer.chat!([{ ...first, content: `${CHAT_INSTRUCTION}\n\n${first.content}` }, ...rest]);
  }
}

/** The turn that asks a question: its whole text, with worked examples. */
export function questionTurn(prompt: Prompt): ChatMessage {
  return { role: "user", content: promptText(prompt) };
}
