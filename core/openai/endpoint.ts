import OpenAI from "openai";
import { UserError } from "../errors.ts";
import { createRng, type Rng } from "../rng.ts";
import { type Failure, failureOf } from "./failure.ts";
import { askedPause, Gate } from "./gate.ts";
import { OPENAI_URL, type OpenAiSettings } from "./settings.ts";

/** The time, and how it is spent. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Waits. */
  sleep(milliseconds: number): Promise<void>;
  /** Draws the share of a pause that is waited for. */
  readonly rng: Rng;
}

/** How often something is tried that may pass. */
const TRIES = 8;

/** How often, where nothing has been heard of the endpoint: probably nobody is there. */
const TRIES_UNHEARD = 4;

/** Before the second try, and at most before any, in milliseconds; how much of it is waited for is drawn by lot. */
const PAUSE_MS = 500, LONGEST_PAUSE_MS = 30_000;

/** An endpoint that asks for a longer pause than this is not waited for. */
const LONGEST_ASKED_MS = 600_000;

/** A reply is no longer than this, nor the file of a batch than that. */
const REPLY_BYTES = 16 * 2 ** 20, FILE_BYTES = 2 ** 30;

/** An endpoint that speaks OpenAI's protocol: what may pass is tried again, and nobody asks while it asks to wait. */
export class Endpoint {
  readonly settings: OpenAiSettings;
  readonly clock: Clock;
  /** Tries that failed and were repeated. */
  retries = 0;
  readonly #openai: OpenAI;
  readonly #gate: Gate;
  #heard = false;

  constructor(
    settings: OpenAiSettings,
    { concurrency, timeoutMs, clock }: {
      readonly concurrency: number;
      readonly timeoutMs: number;
      readonly clock?: Clock;
    },
  ) {
    if (settings.key === undefined && settings.baseUrl === OPENAI_URL) {
      throw new UserError({
        kind: "usage",
        what: "OPENAI_API_KEY is not set",
        where: settings.baseUrl,
        fix:
          "set it to a key from https://platform.openai.com/api-keys, or OPENAI_BASE_URL to another endpoint",
      });
    }
    this.settings = settings;
    this.clock = clock ?? {
      now: () => Date.now(),
      sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
      // Programs that were refused together must not come back together.
      rng: createRng(Date.now()).split(String(Deno.pid)),
    };
    this.#gate = new Gate(concurrency, this.clock.sleep, this.clock.now);
    this.#openai = new OpenAI({
      baseURL: settings.baseUrl,
      // The library wants one; without an own it would look for one in the environment.
      apiKey: settings.key ?? "none",
      organization: null,
      project: null,
      maxRetries: 0,
      timeout: timeoutMs,
      logLevel: "off",
      fetch: async (input, init) =>
        limited(await fetch(input, init), String(input).endsWith("/content") ? FILE_BYTES : REPLY_BYTES),
    });
  }

  /** Does something while no more than the allowed number of others are under way. */
  pass<T>(work: () => Promise<T>): Promise<T> {
    return this.#gate.pass(work);
  }

  /** Milliseconds until the endpoint is ready for more; 0 if it is. */
  waiting(): number {
    return this.#gate.waiting();
  }

  /**
   * Sends until there is a reply.
   *
   * @param about what is asked for, for messages
   * @param check throws where there is no more need
   * @throws {UserError} for a failure that does not pass, or has not passed
   */
  async request<T>(
    about: string,
    send: (openai: OpenAI) => Promise<T>,
    check: () => void = () => {},
  ): Promise<T> {
    for (let attempt = 1;; attempt++) {
      await this.#gate.opened();
      check();
      let failure: Failure;
      try {
        const reply = await send(this.#openai);
        this.#heard = true;
        return reply;
      } catch (error) {
        failure = failureOf(error, this.clock.now());
      }
      this.#heard ||= failure.status !== undefined;
      const tries = this.#heard ? TRIES : TRIES_UNHEARD;
      if (!failure.passes || attempt >= tries || failure.askedMs > LONGEST_ASKED_MS) {
        throw failure.error(this.settings, about, (text) => this.scrub(text));
      }
      this.retries++;
      const range = Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** (attempt - 1)) * this.clock.rng.random();
      if (failure.askedMs > 0) {
        // After a pause that was asked for, all come back, so they come back one after the other.
        this.#gate.closeFor(failure.askedMs);
        await this.#gate.opened();
        await this.clock.sleep(0.2 * range);
      } else await this.clock.sleep(range);
    }
  }

  /** Waits as long as the headers of a reply ask for before anything else is sent. */
  heed(headers: Headers): void {
    const pause = askedPause(headers, this.clock.now());
    if (pause > 0) this.#gate.closeFor(Math.min(pause, LONGEST_ASKED_MS));
  }

  /** A text without the key of the endpoint. */
  scrub(text: string): string {
    const { key } = this.settings;
    return key === undefined ? text : text.replaceAll(key, "…");
  }
}

/** A response whose body is cut off by an error when it is longer than it may be. */
function limited(response: Response, most: number): Response {
  // A length that is announced is kept to, unless it is that of what is packed.
  const { headers } = response, announced = Number(headers.get("content-length") ?? NaN);
  const known = announced <= most && !headers.has("content-encoding");
  if (response.body === null || known) return response;
  let bytes = 0;
  const body = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.length;
        if (bytes > most) controller.error(new Error(`the reply is longer than ${most} bytes`));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(body, response);
}
