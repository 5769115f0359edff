/** Files from the web: fetched once, kept, and asked for again only whether they have changed. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  cacheFolder,
  dataError,
  exists,
  fileError,
  hubSettings,
  readJson,
  UserError,
  writeFileAtomic,
  writeJsonAtomic,
} from "../../../core/mod.ts";

/** What a test may take over. */
export interface WebOptions {
  /** Where files are kept. */
  readonly folder?: string;
  readonly fetch?: typeof fetch;
  /** In so many milliseconds a kilobyte has to come, or the connection counts as broken. */
  readonly stallMs?: number;
  /** Bytes of a file at most. */
  readonly mostBytes?: number;
  /** Use only what was fetched before; `HF_HUB_OFFLINE` says so if absent. */
  readonly offline?: boolean;
}

const STALL_MS = 60_000;
const LEAST_BYTES = 1024;
const MOST_BYTES = 64 * 2 ** 30;
const MOST_REDIRECTS = 10;

/** What is kept of a file beside it. */
interface Kept {
  readonly url: string;
  readonly etag?: string;
  readonly lastModified?: string;
  readonly bytes: number;
}

/** Whether a text is an address on the web. */
export function isWebAddress(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/** What was fetched in this process: it reads one version of a file, whatever happens on the web meanwhile. */
const fetched = new Map<string, Promise<string>>();

/**
 * The path on this machine of a file on the web.
 *
 * @throws {UserError} of kind `data` if it cannot be had, `usage` for an address with a password in it
 */
export async function fetchFile(url: string, options: WebOptions = {}): Promise<string> {
  const folder = options.folder ?? cacheFolder("tables"), key = `${folder} ${url}`;
  let path = fetched.get(key);
  if (path === undefined) {
    path = fetchNow(url, folder, options);
    fetched.set(key, path);
    // What has failed may be tried again.
    path.catch(() => fetched.delete(key));
  }
  return await path;
}

async function fetchNow(text: string, cache: string, options: WebOptions): Promise<string> {
  const { fetch: send = fetch, stallMs = STALL_MS, mostBytes = MOST_BYTES } = options;
  const url = addressOf(text);
  const folder = join(cache, createHash("sha256").update(text).digest("hex").slice(0, 32));
  const path = join(folder, "file"), about = join(folder, "about.json");
  const kept = await readKept(path, about, text);
  if (options.offline ?? (await hubSettings()).offline) {
    if (kept) return path;
    throw dataError(
      "It was not fetched before, and HF_HUB_OFFLINE forbids to",
      text,
      "run once without HF_HUB_OFFLINE",
    );
  }
  const stop = new AbortController();
  let late = 0;
  const watch = setInterval(() => {
    if (late < LEAST_BYTES) stop.abort(new Error(`less than a kilobyte came in ${stallMs / 1000} seconds`));
    late = 0;
  }, stallMs);
  try {
    const response = await follow(send, url, text, kept, stop.signal);
    if (response.status === 304 && kept) {
      await response.body?.cancel();
      return path;
    }
    const length = Number(response.headers.get("content-length") ?? NaN);
    // Packed for the way, it is unpacked before it is counted.
    const whole = response.headers.has("content-encoding") ? NaN : length;
    if (length > mostBytes) throw tooLarge(text, mostBytes);
    let bytes = 0;
    const body = async function* () {
      for await (const piece of response.body ?? []) {
        late += piece.length;
        bytes += piece.length;
        if (bytes > mostBytes) throw tooLarge(text, mostBytes);
        yield piece;
      }
      if (!Number.isNaN(whole) && bytes !== whole) throw new Error(`it ended at ${bytes} of ${whole} bytes`);
    };
    await writeFileAtomic(path, body());
    const etag = response.headers.get("etag") ?? undefined;
    const lastModified = response.headers.get("last-modified") ?? undefined;
    await writeJsonAtomic(about, { url: text, etag, lastModified, bytes } satisfies Kept);
    return path;
  } catch (error) {
    if (error instanceof UserError) throw error;
    const fromDisk = fileError(error, "write", path);
    if (fromDisk instanceof UserError && !(error instanceof Deno.errors.NotCapable)) throw fromDisk;
    throw unreachable(error, text, kept !== undefined);
  } finally {
    clearInterval(watch);
    stop.abort();
  }
}

function addressOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && !url.username && !url.password) return url;
  throw new UserError({
    kind: "usage",
    what: url
      ? "The address has a user name or password in it, which would be written down"
      : "It is no address",
    where: url ? url.origin + url.pathname : text,
    fix: url ? "download the file yourself, and name its path" : "write it as https://<host>/<path>",
  });
}

/** What is there of a file from before, if it is whole. */
async function readKept(path: string, about: string, url: string): Promise<Kept | undefined> {
  if (!await exists(path) || !await exists(about)) return undefined;
  const kept = await readJson(about).catch(() => undefined) as Partial<Kept> | undefined;
  return kept?.url === url && kept.bytes === (await Deno.stat(path)).size ? kept as Kept : undefined;
}

/** Asks for the file, or whether it has changed; follows where that leads, but only on the web. */
async function follow(
  send: typeof fetch,
  url: URL,
  text: string,
  kept: Kept | undefined,
  signal: AbortSignal,
): Promise<Response> {
  const headers = new Headers();
  if (kept?.etag) headers.set("if-none-match", kept.etag);
  else if (kept?.lastModified) headers.set("if-modified-since", kept.lastModified);
  let at = url;
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    let response: Response;
    try {
      response = await send(at, { headers, redirect: "manual", signal });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotCapable)) throw error;
      const led = at === url ? "" : `${text} leads to ${at.host}, and `;
      throw dataError(
        `${led}this program may not ask ${at.host}`,
        text,
        at === url
          ? `start it with --allow-net=${at.host}`
          : "name the address that it leads to, or download it yourself",
        error,
      );
    }
    const { status } = response;
    if (response.ok || status === 304) return response;
    await response.body?.cancel();
    const location = response.headers.get("location");
    if (status < 300 || status >= 400 || location === null) throw refused(status, text);
    const next = URL.canParse(location, at) ? new URL(location, at) : undefined;
    if (next?.protocol !== "http:" && next?.protocol !== "https:") {
      throw dataError(
        `The address leads to ${next ?? location}, which is not on the web`,
        text,
        "do not use it",
      );
    }
    at = next;
  }
  throw dataError(
    `The address leads to another more than ${MOST_REDIRECTS} times`,
    text,
    "check the address",
  );
}

function refused(status: number, url: string): Error {
  const fix = status === 404 || status === 410
    ? "check the address"
    : status === 401 || status === 403
    ? "download the file yourself, and name its path"
    : "try again later";
  return dataError(`The server answers ${status}`, url, fix);
}

function tooLarge(url: string, most: number): Error {
  return dataError(`The file has more than ${most} bytes, or does not end`, url, "check the address");
}

function unreachable(error: unknown, url: string, isKept: boolean): Error {
  const reason = error instanceof Error ? error.message : String(error);
  const fix = isKept
    ? "try again, or set HF_HUB_OFFLINE=1 to use what was fetched before"
    : "check the network, then try again";
  return dataError(`Cannot fetch it: ${reason}`, url, fix, error);
}
