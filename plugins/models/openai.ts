import {
  type ChatBody,
  ChatClient,
  checkOptions,
  dollars,
  openAiSettings,
  type Price,
  priceOf,
  type RemoteModel,
  type RemoteModelContext,
  ReplyCache,
  requestLimits,
  type TextModel,
  type TextOptions,
} from "../../core/mod.ts";

/** Options of `openai`; a number of 0 stands for none. */
export interface OpenAiOptions {
  /** Requests under way at once. */
  readonly concurrency: number;
  /** Seconds after which a request is given up and tried again. */
  readonly timeout: number;
  /** Dollars per million tokens read. */
  readonly priceInput: number;
  /** Dollars per million tokens written. */
  readonly priceOutput: number;
  /** Dollars that one run may cost. */
  readonly maxCost: number;
  /** What the model is told before the prompt; empty for nothing. */
  readonly system: string;
  /** Whether the model reasons before it answers: such a model takes no temperature, and names its limit in another way. */
  readonly reasoning: boolean;
}

/** Raised when the same request would mean something else; part of what identifies a reply. */
const ANSWERING_VERSION = 1;

/**
 * Models behind an OpenAI-compatible endpoint (`OPENAI_BASE_URL`, `OPENAI_API_KEY`), asked by chat completions. They answer
 * questions; whether they know when they are right is for a local model to learn.
 */
export const openai: RemoteModel<OpenAiOptions> = {
  kind: "model",
  name: "openai",
  version: 1,
  description: "Models behind an OpenAI-compatible endpoint, for their answers alone",
  argument: "<model>",
  defaults: {
    concurrency: 20,
    timeout: 60,
    priceInput: 0,
    priceOutput: 0,
    maxCost: 0,
    system: "The user's text ends where an answer has to follow. " +
      "Write this answer and nothing else: no explanation, no repetition of the question.",
    reasoning: false,
  },
  help: {
    concurrency: "requests under way at once",
    timeout: "seconds after which a request is tried again",
    priceInput: "dollars per million tokens read (OpenAI's are known)",
    priceOutput: "dollars per million tokens written",
    maxCost: "dollars after which the run stops, to be gone on with",
    system: "what the model is told before the prompt",
    reasoning: "send max_completion_tokens and no temperature",
  },
  incidental: ["concurrency", "timeout", "priceInput", "priceOutput", "maxCost"],
  check: (options) => checkOptions(openai, options, requestLimits(options)),
  revision: () => Promise.resolve(openAiSettings().baseUrl),
  open: async (options, context) => {
    const { baseUrl } = openAiSettings();
    return new OpenAiModel(
      options,
      context,
      await ReplyCache.open(context.cacheDir, baseUrl, context.argument),
    );
  },
};

class OpenAiModel implements TextModel {
  readonly name: string;
  readonly concurrency: number;
  readonly #client: ChatClient;
  readonly #cache: ReplyCache;
  readonly #price?: Price;
  readonly #options: OpenAiOptions;
  readonly #context: RemoteModelContext;
  /** Answers that the limit on tokens cut, and those that are empty. */
  #cut = 0;
  #empty = 0;

  constructor(options: OpenAiOptions, context: RemoteModelContext, cache: ReplyCache) {
    const { concurrency, timeout, priceInput, priceOutput, maxCost } = options, settings = openAiSettings();
    this.name = `openai:${context.argument}`;
    this.concurrency = concurrency;
    this.#options = options;
    this.#context = context;
    this.#cache = cache;
    this.#price = priceInput > 0 || priceOutput > 0
      ? { input: priceInput, output: priceOutput }
      : priceOf(settings.baseUrl, context.argument);
    this.#client = new ChatClient(settings, {
      concurrency,
      timeoutMs: 1000 * timeout,
      price: this.#price,
      ...(maxCost > 0 && { maxCost }),
      cache,
      replyTokens: 10,
      version: ANSWERING_VERSION,
    });
  }

  prepare(prompts: readonly string[], options: TextOptions): Promise<void> {
    const bodies = new Map(
      prompts.map((prompt) => this.#body(prompt, options)).map((body) => [this.#client.key(body), body]),
    );
    const asked = [...bodies].filter(([key]) => !this.#client.has(key)).map(([, body]) => body);
    if (asked.length === 0) return Promise.resolve();
    let tokens = 0, cost = 0;
    for (const estimate of asked.map((body) => this.#client.estimate(body))) {
      tokens += estimate.promptTokens;
      cost += estimate.cost ?? 0;
    }
    const number = (value: number) => Math.round(value).toLocaleString("en");
    const price = this.#price
      ? `, about ${dollars(cost)}${this.#price.date ? ` (prices of ${this.#price.date})` : ""}`
      : ", of a price that is not known";
    const known = prompts.length - asked.length;
    this.#context.warn(
      `${this.#context.argument} is asked ${number(asked.length)} questions: about ${
        number(tokens)
      } tokens${price}` +
        `${known > 0 ? `; ${number(known)} more are known or alike` : ""}.`,
    );
    return Promise.resolve();
  }

  async write(prompt: string, options: TextOptions): Promise<string> {
    const { text, finishReason } = await this.#client.complete(this.#body(prompt, options));
    if (finishReason === "length") this.#cut++;
    if (text.trim() === "") this.#empty++;
    return text;
  }

  note(): string {
    return [
      this.#client.note(),
      this.#cut > 0 && `${this.#cut} cut`,
      this.#empty > 0 && `${this.#empty} empty`,
    ].filter(Boolean).join("  ");
  }

  usage(): Readonly<Record<string, number>> {
    return { ...this.#client.usage(), cut: this.#cut, empty: this.#empty };
  }

  close(): void {
    this.#cache[Symbol.dispose]();
  }

  #body(prompt: string, { maxNewTokens, temperature, topP, seed }: TextOptions): ChatBody {
    const { system, reasoning } = this.#options;
    return {
      model: this.#context.argument,
      messages: [
        ...(system === "" ? [] : [{ role: "system", content: system }]),
        { role: "user", content: prompt },
      ],
      ...(reasoning ? { max_completion_tokens: maxNewTokens } : { max_tokens: maxNewTokens, temperature }),
      ...(topP < 1 && !reasoning && { top_p: topP }),
      // At temperature 0 it would change nothing but the key of the reply.
      ...(temperature > 0 && { seed }),
    };
  }
}
