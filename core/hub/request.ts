/** Requests to the Hub: credentials, redirects, retries, and errors that say what to do. */
import { UserError } from "../errors.ts";
import type { RepoType } from "./names.ts";
import type { HubSettings } from "./settings.ts";

/** What is asked for, for messages. */
export interface Subject {
  readonly type: RepoType;
  readonly repo: string;
  readonly revision: string;
  readonly path?: string;
  /** Whether something is to be written there. */
  readonly write?: boolean;
}

/** What ends a request early, and what a test may take over. */
export interface RequestOptions {
  /** Aborts it. */
  readonly signal?: AbortSignal;
  /** Statuses beyond those of success that are replies, not failures. */
  readonly accept?: readonly number[];
  /** Waits for so many milliseconds, or until the signal is aborted. */
  readonly sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
  /** A connection on which nothing comes for so many milliseconds counts as broken; a minute if absent. */
  readonly stallMs?: number;
}

/** How often something is tried that may pass. */
export const TRIES = 6;

/** The pause behind a try, in milliseconds; tries count from 1. */
export const pauseAfter = (attempt: number): number => 500 * 2 ** (attempt - 1);

const STALL_MS = 60_000;

/** A server that asks for a longer pause than this is not waited for. */
const LONGEST_PAUSE_MS = 300_000;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Waits as {@linkcode RequestOptions} says, which by default is by the clock. */
export async function pause({ signal, sleep = wait }: RequestOptions, milliseconds: number): Promise<void> {
  await sleep(milliseconds, signal);
  signal?.throwIfAborted();
}

function wait(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
}

/**
 * Fetches from the Hub; the reply is one of success or of those that are accepted, its body unread.
 *
 * @param whole reads the body too, and counts one that breaks as a failed try
 * @throws {UserError} of kind `data` for anything else, once it is certain or was tried often enough
 */
export async function hubFetch(
  settings: HubSettings,
  subject: Subject,
  url: string | URL,
  { whole = false, ...init }: RequestInit & { readonly whole?: boolean } = {},
  options: RequestOptions = {},
): Promise<Response> {
  const { signal, accept = [] } = options;
  for (let attempt = 1;; attempt++) {
    const last = attempt === TRIES;
    let milliseconds = pauseAfter(attempt);
    try {
      const response = await watched(
        (signal) => follow(settings, new URL(url), { ...init, signal }),
        // The reply to an upload comes when all of it is there, however long that takes.
        init.body ? { ...options, stallMs: Infinity } : options,
      );
      if (response.ok || accept.includes(response.status)) {
        return whole ? new Response(await response.arrayBuffer(), response) : response;
      }
      await response.body?.cancel();
      const passing = response.status === 429 || response.status >= 500;
      const asked = retryAfter(response);
      if (!passing || last || asked > LONGEST_PAUSE_MS) throw refusal(response, settings, subject);
      milliseconds = Math.max(milliseconds, asked);
    } catch (error) {
      if (error instanceof UserError || signal?.aborted) throw error;
      // The program was started without the right to ask this server; that does not pass.
      const forbidden = error instanceof Deno.errors.NotCapable;
      if (last || forbidden) throw unreachable(error, settings, subject);
    }
    await pause(options, milliseconds);
  }
}

/** Sends a request that is given up when nothing comes of it for too long, be it its head or a piece of its body. */
async function watched(
  send: (signal: AbortSignal) => Promise<Response>,
  options: RequestOptions,
): Promise<Response> {
  const stop = new AbortController();
  const response = await inTime(send(stop.signal), options, (reason) => stop.abort(reason));
  const { body } = response;
  if (body === null) return response;
  const reader = body.getReader();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await inTime(reader.read(), options, (reason) => {
        reader.cancel(reason).catch(() => {});
      });
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
  return new Response(stream, response);
}

/**
 * What `work` gives, unless nothing comes of it for too long or the signal is aborted; `giveUp` is told of any failure.
 * Deno may collect a signal that depends on another one, which then stops nothing: so neither is left to `fetch` alone.
 */
async function inTime<T>(
  work: Promise<T>,
  { signal, stallMs = STALL_MS }: RequestOptions,
  giveUp: (reason: unknown) => void,
): Promise<T> {
  const { promise: broken, reject } = Promise.withResolvers<never>();
  const timer = stallMs === Infinity
    ? undefined
    : setTimeout(() => reject(new Error(`nothing came for ${stallMs / 1000} seconds`)), stallMs);
  const onAbort = () => reject(signal!.reason);
  if (signal?.aborted) onAbort();
  else signal?.addEventListener("abort", onAbort);
  try {
    return await Promise.race([work, broken]);
  } catch (error) {
    giveUp(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Follows redirects itself, so that the token goes to the endpoint and to nobody else. */
async function follow({ endpoint, token }: HubSettings, url: URL, init: RequestInit): Promise<Response> {
  const home = new URL(endpoint).origin;
  let at = url;
  for (let hops = 0; hops < 10; hops++) {
    const headers = new Headers(init.headers);
    headers.delete("authorization");
    if (token !== undefined && at.origin === home) headers.set("authorization", `Bearer ${token}`);
    const response = await fetch(at, { ...init, headers, redirect: "manual" });
    const location = response.headers.get("location");
    if (!REDIRECTS.has(response.status) || location === null) return response;
    await response.body?.cancel();
    at = new URL(location, at);
    if (at.protocol !== "https:" && at.protocol !== new URL(endpoint).protocol) {
      throw new Error(`it redirects to ${at.origin}, which is not encrypted`);
    }
  }
  throw new Error("it redirects more than 10 times");
}

/** The pause a server asks for, in milliseconds. */
function retryAfter({ headers }: Response): number {
  const value = headers.get("retry-after") ?? "0";
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : 0;
}

function refusal(response: Response, { endpoint, token }: HubSettings, subject: Subject): UserError {
  const { type, repo, revision, path } = subject;
  const page = `${endpoint}/${type === "dataset" ? "datasets/" : ""}${repo}`;
  const where = `${page} at ${revision}${path === undefined ? "" : `, file ${path}`}`;
  const error = (what: string, fix: string) => new UserError({ kind: "data", what, where, fix });
  const { status } = response, code = response.headers.get("x-error-code") ?? "";
  const login = "set HF_TOKEN to a token from https://huggingface.co/settings/tokens";
  if (subject.write && status === 401) {
    return error("The Hub does not know this HF_TOKEN", login);
  }
  if (subject.write && status === 403) {
    return error(
      `This HF_TOKEN may not write to ${repo}`,
      "use one with write access, of an account that may write there",
    );
  }
  if (code === "GatedRepo" || status === 403) {
    return error(
      `Access to ${repo} has to be granted by its authors`,
      `ask for it at ${page}${
        token === undefined ? `, then ${login}` : ", with the account of your HF_TOKEN"
      }`,
    );
  }
  if (code === "RevisionNotFound") {
    return error(`${repo} has no revision "${revision}"`, `see ${page}/tree/main`);
  }
  if (code === "EntryNotFound") return error(`${repo} has no file "${path}"`, `see ${page}/tree/${revision}`);
  if (status === 401 || status === 404) {
    return error(
      `There is no ${type} ${repo}, or it is private`,
      `check its name${
        token === undefined ? `, or ${login}` : ", and that your HF_TOKEN is valid and may read it"
      }`,
    );
  }
  if (status === 429) {
    return error("The Hub asks for fewer requests", "wait some minutes, then run the same command");
  }
  return error(
    `The Hub replied with status ${status}`,
    "run the same command again later: it goes on where it was",
  );
}

function unreachable(cause: unknown, { endpoint }: HubSettings, { repo, path, write }: Subject): UserError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const forbidden = cause instanceof Deno.errors.NotCapable;
  const offline = "set HF_HUB_OFFLINE=1 to use what was downloaded before";
  const reading = forbidden
    ? `start the program with --allow-net, or ${offline}`
    : `check the network, or ${offline}; a rerun goes on where it was`;
  const writing = forbidden ? "start the program with --allow-net" : "check the network, then run it again";
  // The cause is left out: it may quote what the message hides.
  return new UserError({
    kind: "data",
    what: `Cannot reach the Hub: ${reason}`,
    where: `${endpoint}, ${repo}${path === undefined ? "" : `, file ${path}`}`,
    fix: write ? writing : reading,
  });
}
