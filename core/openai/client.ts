import type OpenAI from "openai";
import { UserError } from "../errors.ts";
import type { Json } from "../json.ts";
import type { ProgressSink } from "../types.ts";
import { BATCH_DISCOUNT, Batches } from "./batch.ts";
import { type Clock, Endpoint } from "./endpoint.ts";
import { failureOf } from "./failure.ts";
import { costOf, dollars, type Price, priceOf } from "./prices.ts";
import { type ChatReply, readReply } from "./reply.ts";
import { ReplyCache } from "./reply_cache.ts";
import type { RequestSettings } from "./request_limits.ts";
import { type OpenAiSettings, openAiSettings } from "./settings.ts";

/** A request for a chat completion, as it goes over the wire. */
export type ChatBody = Readonly<Record<string, Json>> & {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
};

/** How an endpoint is asked. */
export interface ChatClientOptions {
  /** Requests under way at once. */
  readonly concurrency: number;
  /** Milliseconds after which a request without a whole reply is given up. */
  readonly timeoutMs: number;
  /** What tokens cost, if that is known. */
  readonly price?: Price;
  /** Dollars that may be spent; no limit if absent. */
  readonly maxCost?: number;
  /** Where replies are kept; nowhere if absent. */
  readonly cache?: ReplyCache;
  /** Tokens of a reply, about, for estimates before there is one. */
  readonly replyTokens: number;
  /** Part of the keys of the cache: raised when what a request is for changes though its text does not. */
  readonly version: number;
  /** What a test may take over: the clock, and where pauses come from. */
  readonly clock?: Clock;
}

/** What has been asked and what it cost. */
export interface ChatUsage {
  /** Requests that were answered by the endpoint. */
  readonly requests: number;
  /** Requests that the cache answered. */
  readonly cached: number;
  /** Tries that failed and were repeated. */
  readonly retries: number;
  /** Tokens that were read. */
  readonly promptTokens: number;
  /** Tokens that were written. */
  readonly completionTokens: number;
  /** Dollars; absent where the price is not known. */
  readonly cost?: number;
}

/**
 * Asks an endpoint that speaks OpenAI's protocol, many requests at once, and keeps what it says.
 *
 * What may pass (too many requests, a server's fault, a broken or slow connection, half a reply) is tried again after a
 * pause: as long as the endpoint asks for, which holds for all requests, or else drawn from a range that doubles.
 *
 * @example
 * ```ts ignore
 * const client = await ChatClient.open(model, { ...REQUEST_DEFAULTS, timeout: 30 }, { cacheDir, replyTokens: 100, version: 1 });
 * const { text } = await client.complete({ model, messages: [{ role: "user", content: "Hello" }] });
 * ```
 */
export class ChatClient {
  readonly #options: ChatClientOptions;
  readonly #endpoint: Endpoint;
  /** Requests under way by key, so that the same is not asked twice at once. */
  readonly #asked = new Map<string, Promise<ChatReply>>();
  readonly #usage = { requests: 0, cached: 0, promptTokens: 0, completionTokens: 0 };
  #spent = 0;
  /** Dollars that requests under way may cost. */
  #reserved = 0;
  /** Why no further request is sent. */
  #stopped?: UserError;

  /** Asks nothing yet. @throws {UserError} of kind `usage` without a key or a price where there must be one */
  constructor(settings: OpenAiSettings, options: ChatClientOptions) {
    this.#options = options;
    this.#endpoint = new Endpoint(settings, options);
    if (options.maxCost !== undefined && !options.price) {
      throw new UserError({
        kind: "usage",
        what: "There is a limit on the cost, but the price of a token is not known",
        where: `${settings.baseUrl}, --max-cost`,
        fix: "give --price-input and --price-output, in dollars per million tokens",
      });
    }
  }

  /** A client for a plugin that asks one model, with a cache of its own, which `close` closes. */
  static async open(
    model: string,
    { concurrency, timeout, priceInput, priceOutput, maxCost }: RequestSettings,
    { cacheDir, ...options }:
      & { readonly cacheDir: string }
      & Pick<ChatClientOptions, "replyTokens" | "version">,
  ): Promise<ChatClient> {
    const settings = openAiSettings();
    const given = priceInput > 0 || priceOutput > 0;
    const price = given ? { input: priceInput, output: priceOutput } : priceOf(settings.baseUrl, model);
    const cache = await ReplyCache.open(cacheDir, settings.baseUrl, model);
    try {
      return new ChatClient(settings, {
        ...options,
        concurrency,
        timeoutMs: 1000 * timeout,
        price,
        cache,
        ...(maxCost > 0 && { maxCost }),
      });
    } catch (error) {
      cache[Symbol.dispose]();
      throw error;
    }
  }

  /** Closes the cache. */
  close(): void {
    this.#options.cache?.[Symbol.dispose]();
  }

  /** Whether the reply under a key is there already. */
  has(key: string): boolean {
    return this.#options.cache?.get(key) !== undefined;
  }

  /** The key of a request in the cache. */
  key(body: ChatBody, repeat = 0): string {
    const { baseUrl } = this.#endpoint.settings, { version } = this.#options;
    return ReplyCache.key({ baseUrl, body, repeat, version });
  }

  /**
   * The reply to a request.
   *
   * @param repeat tells apart several replies to the same request, from 0
   * @throws {UserError} of kind `data` or `usage` when the endpoint fails or refuses; of kind `limit` when the reply
   * would cost more than may be spent
   */
  complete(body: ChatBody, repeat = 0): Promise<ChatReply> {
    const key = this.key(body, repeat), known = this.#options.cache?.get(key);
    if (known) {
      this.#usage.cached++;
      return Promise.resolve(known);
    }
    let asked = this.#asked.get(key);
    if (!asked) {
      asked = this.#endpoint.pass(() => this.#ask(body, key)).finally(() => this.#asked.delete(key));
      this.#asked.set(key, asked);
    }
    return asked;
  }

  /**
   * Asks in batches, at half the price and within a day, and takes up batches that a killed program began; what comes of
   * them is in the cache, and {@linkcode ChatClient.complete} asks for the rest.
   *
   * @param bodies requests by their key
   */
  async askInBatches(bodies: ReadonlyMap<string, ChatBody>, progress: ProgressSink): Promise<void> {
    const { price, cache } = this.#options;
    if (!cache) throw new TypeError("batches need a cache");
    const half = price &&
      { ...price, input: BATCH_DISCOUNT * price.input, output: BATCH_DISCOUNT * price.output };
    // Beside the file of replies, which belongs to the endpoint and the model too.
    const batches = new Batches(this.#endpoint, `${cache.path}.batches`, {
      has: (key) => this.has(key),
      keep: (key, reply) => this.#keep(key, reply, half),
    });
    await batches.resume(progress);
    const left = new Map([...bodies].filter(([key]) => !this.has(key)));
    const cost = [...left.values()].reduce((sum, body) => sum + (this.estimate(body).cost ?? 0), 0);
    this.#checkCost(BATCH_DISCOUNT * cost);
    if (left.size > 0) await batches.ask(left, progress);
  }

  /** What has been asked and what it cost, so far. */
  usage(): ChatUsage {
    const { retries } = this.#endpoint;
    return { ...this.#usage, retries, ...(this.#options.price && { cost: this.#spent }) };
  }

  /** The same in a few words, with what is being waited for. */
  note(): string {
    const { promptTokens, completionTokens } = this.#usage, { retries } = this.#endpoint;
    const waiting = this.#endpoint.waiting();
    const tokens = `${TOKENS.format(promptTokens + completionTokens)} tokens`;
    return [
      tokens,
      this.#options.price && dollars(this.#spent),
      retries > 0 && `${retries} retries`,
      waiting > 1000 && `asked to wait ${Math.ceil(waiting / 1000)} s`,
    ].filter(Boolean).join("  ");
  }

  /**
   * What is still to be asked of some requests, by key, and what that will take in words: `about 1,200 tokens, about
   * $0.0002; 3 more are known or alike`.
   */
  forecast(
    requests: readonly ChatBody[],
    { batches = false }: { readonly batches?: boolean } = {},
  ): { readonly asked: ReadonlyMap<string, ChatBody>; readonly text: string } {
    const asked = new Map(
      requests.map((body) => [this.key(body), body] as const).filter(([key]) => !this.has(key)),
    );
    let tokens = 0, cost = 0;
    for (const body of asked.values()) {
      const estimate = this.estimate(body);
      tokens += estimate.promptTokens;
      cost += estimate.cost ?? 0;
    }
    const { price } = this.#options, known = requests.length - asked.size;
    const date = price?.date ? ` (prices of ${price.date})` : "";
    const about = price
      ? `about ${dollars(batches ? BATCH_DISCOUNT * cost : cost)}${date}`
      : "of a price that is not known";
    const more = known > 0 ? `; ${known.toLocaleString("en")} more are known or alike` : "";
    return { asked, text: `about ${Math.round(tokens).toLocaleString("en")} tokens, ${about}${more}` };
  }

  /** What a request will cost, about, in tokens and dollars. */
  estimate(body: ChatBody): { readonly promptTokens: number; readonly cost?: number } {
    // In English a token is about four characters, and every message takes a few more.
    const promptTokens = body.messages.reduce((sum, { content }) => sum + 4 + content.length / 4, 3);
    const { price } = this.#options;
    const { requests, completionTokens } = this.#usage;
    const written = requests > 0 ? completionTokens / requests : this.#options.replyTokens;
    return { promptTokens, ...(price && { cost: costOf(price, promptTokens, written) }) };
  }

  /** Keeps a reply, and counts what it cost. */
  #keep(key: string, reply: ChatReply, price?: Price): void {
    this.#options.cache?.set(key, reply);
    this.#usage.requests++;
    this.#usage.promptTokens += reply.promptTokens;
    this.#usage.completionTokens += reply.completionTokens;
    if (price) this.#spent += costOf(price, reply.promptTokens, reply.completionTokens);
  }

  /** @throws {UserError} of kind `limit` if so many dollars more may not be spent */
  #checkCost(cost: number): void {
    const { maxCost } = this.#options;
    if (maxCost === undefined || this.#spent + this.#reserved + cost <= maxCost) return;
    throw new UserError({
      kind: "limit",
      what: `This run has cost ${dollars(this.#spent)}, and its limit is ${dollars(maxCost)}`,
      where: `${this.#endpoint.settings.baseUrl}, --max-cost`,
      fix:
        "what is done is kept and costs nothing again: run the same command, with another --max-cost to go further",
    });
  }

  async #ask(body: ChatBody, key: string): Promise<ChatReply> {
    const { price } = this.#options;
    const cost = this.#options.maxCost === undefined ? 0 : this.estimate(body).cost!;
    if (this.#stopped) throw this.#stopped;
    try {
      this.#checkCost(cost);
    } catch (error) {
      throw this.#stopped = error as UserError;
    }
    this.#reserved += cost;
    try {
      const reply = await this.#send(body);
      this.#keep(key, reply, price);
      return reply;
    } catch (error) {
      // What fails for good fails for all.
      if (error instanceof UserError) this.#stopped ??= error;
      throw error;
    } finally {
      this.#reserved -= cost;
    }
  }

  #send(body: ChatBody): Promise<ChatReply> {
    const endpoint = this.#endpoint;
    return endpoint.request(`model ${body.model}`, async (openai) => {
      try {
        const { data, response } = await openai.chat.completions
          .create(body as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming)
          .withResponse();
        endpoint.heed(response.headers);
        return readReply(data, (text) => endpoint.scrub(text));
      } catch (error) {
        const { refusal } = failureOf(error, 0);
        if (refusal !== "") return { text: "", finishReason: refusal, promptTokens: 0, completionTokens: 0 };
        throw error;
      }
    }, () => {
      // What was begun within the limit on cost is finished.
      if (this.#stopped && this.#stopped.kind !== "limit") throw this.#stopped;
    });
  }
}

/** 12.3K */
const TOKENS = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
