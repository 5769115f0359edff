/** One file of the Hub: downloaded in pieces over as many tries as it takes, and checked before it counts. */
import { createHash } from "node:crypto";
import { UserError } from "../errors.ts";
import { dataError, fileError, writeAll } from "../files.ts";
import { hubFetch, pause, pauseAfter, type RequestOptions, type Subject, TRIES } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** What a file has to be. */
export interface BlobEntry {
  /** SHA-256 of a large file, git's SHA-1 of a small one: its name in the cache. */
  readonly hash: string;
  readonly bytes: number;
}

/** Where a file comes from and goes to. */
export interface BlobDownload extends BlobEntry {
  readonly url: string;
  readonly subject: Subject & { readonly path: string };
  /** Where it lies once it is whole; until then at `<target>.incomplete`. */
  readonly target: string;
  /** Told of bytes as they come; negative where they were thrown away. */
  readonly received: (bytes: number) => void;
}

/** Connections that may break, each leaving more of the file than the one before. */
const BREAKS = 100;

/**
 * Brings a file to its target, going on from what an earlier try left.
 *
 * @returns what is wrong with it, if it was twice not what the Hub says it is; nothing of it is kept then
 * @throws {UserError} of kind `data` if it cannot be had
 */
export async function downloadBlob(
  settings: HubSettings,
  download: BlobDownload,
  options: RequestOptions = {},
): Promise<string | undefined> {
  const { target, received } = download;
  const partial = `${target}.incomplete`;
  for (let attempt = 1;; attempt++) {
    using file = await Deno.open(partial, { read: true, write: true, create: true });
    const fault = await complete(settings, download, file, options) ?? await faultOf(file, download);
    if (fault === undefined) {
      await file.sync();
      await Deno.rename(partial, target);
      return undefined;
    }
    received(-(await file.stat()).size);
    await Deno.remove(partial);
    if (attempt === 2) return fault;
  }
}

/** Fills a file up to its full size, over as many connections as it takes; says what is wrong with its length. */
async function complete(
  settings: HubSettings,
  { url, subject, bytes, received }: BlobDownload,
  file: Deno.FsFile,
  options: RequestOptions,
): Promise<string | undefined> {
  let { size: have } = await file.stat();
  const restart = async () => {
    received(-have);
    have = 0;
    await file.truncate(0);
  };
  received(have);
  if (have > bytes) await restart();
  let etag: string | undefined;
  for (let breaks = 0, idle = 0; have < bytes;) {
    const headers = have > 0
      ? { range: `bytes=${have}-`, ...(etag !== undefined && { "if-range": etag }) }
      : undefined;
    const response = await hubFetch(settings, subject, url, { headers }, { ...options, accept: [416] });
    if (response.status === 416) {
      await response.body?.cancel();
      return `it ends after ${have} of ${bytes} bytes`;
    }
    if (have > 0 && !continues(response, have)) await restart();
    etag = strong(response.headers.get("etag"));
    await file.seek(have, Deno.SeekMode.Start);
    const before = have;
    try {
      for await (const chunk of response.body ?? []) {
        if (have + chunk.length > bytes) return `it is longer than the ${bytes} bytes that the Hub lists`;
        await writeAll(file, chunk).catch((error) => {
          throw fileError(error, "write", subject.path);
        });
        have += chunk.length;
        received(chunk.length);
      }
    } catch (error) {
      if (error instanceof UserError || options.signal?.aborted) throw error;
    }
    if (have === bytes) break;
    breaks++;
    idle = have > before ? 0 : idle + 1;
    if (idle === TRIES || breaks > BREAKS) {
      throw dataError(
        `The connection broke ${breaks === 1 ? "once" : `${breaks} times`}, at ${have} of ${bytes} bytes`,
        `${subject.repo}, file ${subject.path}`,
        "run the same command again: it goes on where it was",
      );
    }
    if (idle > 0) await pause(options, pauseAfter(idle));
  }
  return undefined;
}

/** Whether a reply goes on where the file ends; a server may send all of it instead. */
function continues({ status, headers }: Response, have: number): boolean {
  return status === 206 && headers.get("content-range")?.startsWith(`bytes ${have}-`) === true;
}

/** A tag that stands for the very bytes, as a range may be tied to. */
function strong(etag: string | null): string | undefined {
  return etag?.startsWith('"') ? etag : undefined;
}

/** How a file's hash differs from what it has to be: SHA-256, or for a short one git's SHA-1 with its header. */
async function faultOf(file: Deno.FsFile, { hash, bytes }: BlobEntry): Promise<string | undefined> {
  const large = hash.length === 64;
  const digest = createHash(large ? "sha256" : "sha1");
  if (!large) digest.update(`blob ${bytes}\0`);
  await file.seek(0, Deno.SeekMode.Start);
  const buffer = new Uint8Array(1 << 20);
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    digest.update(buffer.subarray(0, read));
  }
  const actual = digest.digest("hex");
  return actual === hash ? undefined : `its hash is ${actual}, not ${hash}`;
}
