import OpenAI from "openai";
import { UserError } from "../errors.ts";
import { createRng, type Rng } from "../rng.ts";
import { canonical, type Json } from "../run_folder.ts";
import { Failure, failureOf } from "./failure.ts";
import { askedPause, Gate } from "./gate.ts";
import { costOf, dollars, type Price } from "./prices.ts";
import { type ChatReply, ReplyCache } from "./reply_cache.ts";
import { OPENAI_URL, type OpenAiSettings } from "./settings.ts";

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

/** The time, and how it is spent. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Waits. */
  sleep(milliseconds: number): Promise<void>;
  /** Draws the share of a pause that is waited for. */
  readonly rng: Rng;
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

/** How often something is tried that may pass. */
const TRIES = 8;

/** How often, where nothing has been heard of the endpoint: probably nobody is there. */
const TRIES_UNHEARD = 4;

/** Before the second try, and at most before any, in milliseconds; how much of it is waited for is drawn by lot. */
const PAUSE_MS = 500, LONGEST_PAUSE_MS = 30_000;

/** An endpoint that asks for a longer pause than this is not waited for. */
const LONGEST_ASKED_MS = 600_000;

/** A reply is no longer than this, or none. */
const REPLY_BYTES = 16 * 2 ** 20;

/**
 * Asks an endpoint that speaks OpenAI's protocol, many requests at once, and keeps what it says.
 *
 * What may pass (too many requests, a server's fault, a broken or slow connection, half a reply) is tried again after a
 * pause: as long as the endpoint asks for, which holds for all requests, or else drawn from a range that doubles.
 *
 * @example
 * ```ts ignore
 * const cache = await ReplyCache.open(folder, settings.baseUrl, model);
 * const client = new ChatClient(openAiSettings(), {
 *   concurrency: 20,
 *   timeoutMs: 60_000,
 *   cache,
 *   replyTokens: 100,
 *   version: 1,
 * });
 * const { text } = await client.complete({ model, messages: [{ role: "user", content: "Hello" }] });
 * ```
 */
export class ChatClient {
  readonly #settings: OpenAiSettings;
  readonly #options: ChatClientOptions;
  readonly #openai: OpenAI;
  readonly #clock: Clock;
  readonly #gate: Gate;
  /** Requests under way by key, so that the same is not asked twice at once. */
  readonly #asked = new Map<string, Promise<ChatReply>>();
  readonly #usage = { requests: 0, cached: 0, retries: 0, promptTokens: 0, completionTokens: 0 };
  #spent = 0;
  /** Dollars that requests under way may cost. */
  #reserved = 0;
  /** Why no further request is sent. */
  #stopped?: UserError;

  /** Asks nothing yet. @throws {UserError} of kind `usage` without a key or a price where there must be one */
  constructor(settings: OpenAiSettings, options: ChatClientOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#clock = options.clock ?? {
      now: () => Date.now(),
      sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
      // Programs that were refused together must not come back together.
      rng: createRng(Date.now()).split(String(Deno.pid)),
    };
    this.#gate = new Gate(options.concurrency, this.#clock.sleep, this.#clock.now);
    this.#openai = new OpenAI({
      baseURL: settings.baseUrl,
      // The library wants one; without an own it would look for one in the environment.
      apiKey: settings.key ?? "none",
      organization: null,
      project: null,
      maxRetries: 0,
      timeout: options.timeoutMs,
      logLevel: "off",
      fetch: async (input, init) => limited(await fetch(input, init)),
    });
    if (settings.key === undefined && settings.baseUrl === OPENAI_URL) {
      throw new UserError({
        kind: "usage",
        what: "OPENAI_API_KEY is not set",
        where: settings.baseUrl,
        fix:
          "set it to a key from https://platform.openai.com/api-keys, or OPENAI_BASE_URL to another endpoint",
      });
    }
    if (options.maxCost !== undefined && !options.price) {
      throw new UserError({
        kind: "usage",
        what: "There is a limit on the cost, but the price of a token is not known",
        where: `${settings.baseUrl}, --max-cost`,
        fix: "give --price-input and --price-output, in dollars per million tokens",
      });
    }
  }

  /** Whether the reply under a key is there already. */
  has(key: string): boolean {
    return this.#options.cache?.get(key) !== undefined;
  }

  /** The key of a request in the cache. */
  key(body: ChatBody, repeat = 0): string {
    const { baseUrl } = this.#settings, { version } = this.#options;
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
      asked = this.#gate.pass(() => this.#ask(body, key)).finally(() => this.#asked.delete(key));
      this.#asked.set(key, asked);
    }
    return asked;
  }

  /** What has been asked and what it cost, so far. */
  usage(): ChatUsage {
    return { ...this.#usage, ...(this.#options.price && { cost: this.#spent }) };
  }

  /** The same in a few words, with what is being waited for. */
  note(): string {
    const { promptTokens, completionTokens, retries } = this.#usage, waiting = this.#gate.waiting();
    const tokens = `${TOKENS.format(promptTokens + completionTokens)} tokens`;
    return [
      tokens,
      this.#options.price && dollars(this.#spent),
      retries > 0 && `${retries} retries`,
      waiting > 1000 && `asked to wait ${Math.ceil(waiting / 1000)} s`,
    ].filter(Boolean).join("  ");
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
      where: `${this.#settings.baseUrl}, --max-cost`,
      fix:
        "what is done is kept and costs nothing again: run the same command, with another --max-cost to go further",
    });
  }

  /** A text without the key of the endpoint. */
  #scrub(text: string): string {
    const { key } = this.#settings;
    return key === undefined ? text : text.replaceAll(key, "…");
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
      const reply = await this.#try(body);
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

  async #try(body: ChatBody): Promise<ChatReply> {
    for (let attempt = 1;; attempt++) {
      await this.#gate.opened();
      // What was begun within the limit on cost is finished.
      if (this.#stopped && this.#stopped.kind !== "limit") throw this.#stopped;
      const failure = await this.#send(body).catch((error) => failureOf(error, this.#clock.now()));
      if (!(failure instanceof Failure)) return failure;
      if (failure.refusal) {
        return { text: "", finishReason: failure.refusal, promptTokens: 0, completionTokens: 0 };
      }
      const heard = this.#usage.requests > 0 || failure.status !== undefined;
      if (
        !failure.passes || attempt >= (heard ? TRIES : TRIES_UNHEARD) || failure.askedMs > LONGEST_ASKED_MS
      ) {
        throw failure.error(this.#settings, body.model, (text) => this.#scrub(text));
      }
      this.#usage.retries++;
      if (failure.askedMs > 0) this.#gate.closeFor(failure.askedMs);
      const range = Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** (attempt - 1));
      // After a pause that was asked for, all come back, so they come back one after the other.
      if (failure.askedMs > 0) await this.#gate.opened();
      await this.#clock.sleep(range * this.#clock.rng.random() * (failure.askedMs > 0 ? 0.2 : 1));
    }
  }

  async #send(body: ChatBody): Promise<ChatReply> {
    const { data, response } = await this.#openai.chat.completions
      .create(body as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming)
      .withResponse();
    const pause = askedPause(response.headers, this.#clock.now());
    if (pause > 0) this.#gate.closeFor(Math.min(pause, LONGEST_ASKED_MS));
    return readReply(data, (text) => this.#scrub(text));
  }
}

/** 12.3K */
const TOKENS = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

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

/** A response whose body is cut off by an error when it is longer than any reply. */
function limited(response: Response): Response {
  // A length that is announced is kept to, unless it is that of what is packed.
  const { headers } = response, announced = Number(headers.get("content-length") ?? NaN);
  const known = announced <= REPLY_BYTES && !headers.has("content-encoding");
  if (response.body === null || known) return response;
  let bytes = 0;
  const body = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.length;
        if (bytes > REPLY_BYTES) controller.error(new Error(`the reply is longer than ${REPLY_BYTES} bytes`));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(body, response);
}
