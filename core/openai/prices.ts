import { OPENAI_URL } from "./settings.ts";

/** What tokens cost, in dollars per million. */
export interface Price {
  /** Tokens that the model reads. */
  readonly input: number;
  /** Tokens that it writes. */
  readonly output: number;
  /** When it was looked up, for messages; absent if the user gave it. */
  readonly date?: string;
}

/** When OpenAI's page https://developers.openai.com/api/docs/pricing was last quoted with the prices below. */
const DATE = "May 2026";

const PRICES: Readonly<Record<string, readonly [input: number, output: number]>> = {
  "gpt-3.5-turbo": [0.5, 1.5],
  "gpt-3.5-turbo-1106": [1, 2],
  "gpt-4.1": [2, 8],
  "gpt-4.1-mini": [0.4, 1.6],
  "gpt-4.1-nano": [0.1, 0.4],
  "gpt-4o": [2.5, 10],
  "gpt-4o-mini": [0.15, 0.6],
};

/** What a model costs at an endpoint; nothing where that is not known, as with a server of one's own. */
export function priceOf(baseUrl: string, model: string): Price | undefined {
  // OpenAI's dated versions cost what the model does, unless they stand by themselves.
  const price = PRICES[model] ?? PRICES[model.replace(/-\d{4}-\d{2}-\d{2}$/, "")];
  return baseUrl === OPENAI_URL && price ? { input: price[0], output: price[1], date: DATE } : undefined;
}

/** Dollars for so many tokens. */
export function costOf({ input, output }: Price, promptTokens: number, completionTokens: number): number {
  return (input * promptTokens + output * completionTokens) / 1e6;
}

/** `$0.0042`, `$1.20` */
export function dollars(amount: number): string {
  return `$${amount < 0.1 ? amount.toFixed(4) : amount.toFixed(2)}`;
}
