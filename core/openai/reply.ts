import { canonical, type Json } from "../json.ts";
import { Failure } from "./failure.ts";

/** A model's reply to one request. */
export interface ChatReply {
  /** What it wrote; empty if nothing. */
  readonly text: string;
  /** Why it ended: `stop`, `length`, `content_filter`, or as the endpoint says. */
  readonly finishReason: string;
  /** Tokens it read, as the endpoint counts them; 0 if it does not. */
  readonly promptTokens: number;
  /** Tokens it wrote. */
  readonly completionTokens: number;
}

/** What an endpoint said. @throws {Failure} if it is not a chat completion */
export function readReply(data: unknown, scrub: (text: string) => string): ChatReply {
  type Completion = {
    choices?: { message?: { content?: unknown }; finish_reason?: unknown }[];
    usage?: { prompt_tokens?: unknown; completion_tokens?: unknown } | null;
  };
  const { choices, usage } = (typeof data === "object" && data !== null ? data : {}) as Completion;
  const choice = Array.isArray(choices) ? choices[0] : undefined, content = choice?.message?.content;
  if (!choice?.message || (content !== null && content !== undefined && typeof content !== "string")) {
    const got = typeof data === "string" ? data : canonical((data ?? null) as Json);
    throw new Failure(`the reply is not a chat completion: ${scrub(got).slice(0, 80)}`, { passes: true });
  }
  const count = (value: unknown) => typeof value === "number" && value >= 0 ? value : 0;
  return {
    text: scrub(content ?? ""),
    finishReason: typeof choice.finish_reason === "string" ? choice.finish_reason : "",
    promptTokens: count(usage?.prompt_tokens),
    completionTokens: count(usage?.completion_tokens),
  };
}
