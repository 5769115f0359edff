import OpenAI from "openai";
import { type ErrorKind, UserError } from "../errors.ts";
import { askedPause } from "./gate.ts";
import type { OpenAiSettings } from "./settings.ts";

/** How a request failed. */
interface FailureKind {
  /** Whether the same request may be answered later. */
  readonly passes: boolean;
  /** HTTP status, if there was a reply. */
  readonly status?: number;
  /** Milliseconds that the endpoint asks to wait; 0 if it does not say. */
  readonly askedMs?: number;
  /** The endpoint's own word for it. */
  readonly code?: string;
}

/** A request that failed. */
export class Failure extends Error {
  readonly passes: boolean;
  readonly status?: number;
  readonly askedMs: number;
  /** Why this one request has no reply, where others may have one; empty else. */
  readonly refusal: string;
  readonly #code: string;

  constructor(reason: string, { passes, status, askedMs = 0, code = "" }: FailureKind) {
    // A page of HTML has many lines, a message one.
    super(reason.replaceAll(/\s+/g, " "));
    this.passes = passes;
    this.status = status;
    this.askedMs = askedMs;
    this.#code = code;
    this.refusal = status === 400 ? refusalOf(`${code} ${reason}`) : "";
  }

  /** What the user is told when it is not tried again. */
  error({ baseUrl, key }: OpenAiSettings, about: string, scrub: (text: string) => string): UserError {
    const { status } = this, reason = scrub(this.message);
    const error = (kind: ErrorKind, what: string, fix: string) =>
      // The cause is left out: it may quote what the message hides.
      new UserError({ kind, what, where: `${baseUrl}, ${about}`, fix });
    if (status === 401 || status === 403) {
      return error(
        "usage",
        `The endpoint refuses ${key === undefined ? "to answer without a key" : "this key"}: ${reason}`,
        "set OPENAI_API_KEY to a key of this endpoint that may use the model",
      );
    }
    if (this.#code === "insufficient_quota") {
      return error("limit", `The account has no credit left: ${reason}`, "add some, then rerun: it goes on");
    }
    if (status === 404) {
      return error(
        "usage",
        `Not found: ${reason}`,
        "check the model's name, and that OPENAI_BASE_URL ends as in …/v1",
      );
    }
    if (status !== undefined && !this.passes) {
      return error(
        "data",
        `The endpoint refuses the request: ${reason}`,
        "check that the model takes such requests",
      );
    }
    if (this.#code === "forbidden") {
      return error(
        "usage",
        `Cannot reach the endpoint: ${reason}`,
        "start the program with --allow-net for its host",
      );
    }
    return error(
      "data",
      `The endpoint does not answer: ${reason}`,
      "check that it runs; then run the same command again: it goes on where it was",
    );
  }
}

/** Requests that no endpoint answers, by the words of OpenAI, Azure, vLLM and llama.cpp: too long, or filtered. */
const REFUSALS: readonly (readonly [finishReason: string, words: RegExp])[] = [
  ["length", /context_length_exceeded|maximum context length|context[_ ]size/i],
  ["content_filter", /content_filter|content_policy|content management policy/i],
];

/** Why a request with this error has no reply, where others may have one; empty if it is not that. */
export function refusalOf(error: string): string {
  return REFUSALS.find(([, words]) => words.test(error))?.[0] ?? "";
}

/** Statuses that may pass, besides those of a server's fault. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 425, 429]);

/** What an error of the library or of the network says. */
export function failureOf(error: unknown, now: number): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof OpenAI.APIConnectionError) {
    const { cause } = error;
    if (cause instanceof Deno.errors.NotCapable) {
      return new Failure(cause.message, { passes: false, code: "forbidden" });
    }
    if (
      error instanceof OpenAI.APIConnectionTimeoutError || (cause as Error | undefined)?.name === "AbortError"
    ) {
      return new Failure("no whole reply came in time", { passes: true });
    }
    return new Failure(cause instanceof Error ? cause.message : error.message, { passes: true });
  }
  if (error instanceof OpenAI.APIError && error.status !== undefined) {
    const { status, headers, message } = error, code = error.code ?? "";
    const passes = (PASSING.has(status) || status >= 500) && code !== "insufficient_quota";
    return new Failure(message.slice(0, 300), {
      passes,
      status,
      code,
      askedMs: passes ? askedPause(headers, now) : 0,
    });
  }
  return new Failure(error instanceof Error ? error.message : String(error), { passes: true });
}
