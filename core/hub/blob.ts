/** One file of the Hub: downloaded in pieces over as many tries as it takes, and checked before it counts. */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { UserError } from "../errors.ts";
import { dataError } from "../files.ts";
import { hubFetch, type RequestOptions, type Subject } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** What a file has to be. */
export interface BlobEntry {
  /** SHA-256 of a large file, git's SHA-1 of a small one: its name in the cache. */
  readonly hash: string;
  readonly bytes: number;
}

/** Connections that may break, each leaving more of the file than the one before. */
const BREAKS = 20;

/**
 * Brings a file to `path`, going on from what an earlier try left in `<path>.incomplete`.
 *
 * @param received told of bytes as they come; negative where they were thrown away
 * @throws {UserError} of kind `data` if it cannot be had, or is twice not what the Hub says it is
 */
export async function downloadBlob(
  settings: HubSettings,
  subject: Subject & { readonly path: string },
  url: string,
  entry: BlobEntry,
  path: string,
  received: (bytes: number) => void,
  options: RequestOptions = {},
): Promise<void> {
  const partial = `${path}.incomplete`;
  await Deno.mkdir(dirname(path), { recursive: true });
  for (let attempt = 1;; attempt++) {
    using file = await Deno.open(partial, { read: true, write: true, create: true });
    await complete(settings, subject, url, entry, file, received, options);
    const actual = await hashOf(file, entry);
    if (actual === entry.hash) {
      await file.sync();
      await Deno.rename(partial, path);
      return;
    }
    received(-entry.bytes);
    await Deno.remove(partial);
    if (attempt < 2) continue;
    throw dataError(
      `The download of ${subject.path} is damaged: its hash is ${actual}, not ${entry.hash}`,
      `repository ${subject.repo} at ${subject.revision}`,
      "run the same command again; if that does not help, the file on the Hub is broken",
    );
  }
}

/** Fills a file up to its full size. */
async function complete(
  settings: HubSettings,
  subject: Subject,
  url: string,
  { bytes }: BlobEntry,
  file: Deno.FsFile,
  received: (bytes: number) => void,
  options: RequestOptions,
): Promise<void> {
  let { size: have } = await file.stat();
  if (have > bytes) {
    await file.truncate(0);
    have = 0;
  }
  received(have);
  for (let breaks = 0; have < bytes;) {
    const headers: HeadersInit = have > 0 ? { range: `bytes=${have}-` } : {};
    const response = await hubFetch(settings, subject, url, { headers }, options);
    if (have > 0 && !continues(response, have)) {
      received(-have);
      have = 0;
      await file.truncate(0);
    }
    await file.seek(have, Deno.SeekMode.Start);
    const before = have;
    try {
      for await (const chunk of response.body ?? []) {
        if (have + chunk.length > bytes) throw tooLong(subject, bytes);
        for (let done = 0; done < chunk.length;) done += await file.write(chunk.subarray(done));
        have += chunk.length;
        received(chunk.length);
      }
    } catch (error) {
      if (error instanceof UserError || options.signal?.aborted) throw error;
    }
    if (have < bytes && (have === before || ++breaks > BREAKS)) {
      throw dataError(
        `The connection broke ${breaks + 1} times, at ${have} of ${bytes} bytes`,
        `${subject.repo}, file ${subject.path}`,
        "run the same command again: it goes on where it was",
      );
    }
  }
}

/** Whether a reply goes on where the file ends; a server may send all of it instead. */
function continues({ status, headers }: Response, have: number): boolean {
  return status === 206 && headers.get("content-range")?.startsWith(`bytes ${have}-`) === true;
}

function tooLong({ repo, path }: Subject, bytes: number): UserError {
  return dataError(
    `The Hub sends more than the ${bytes} bytes it said`,
    `${repo}, file ${path}`,
    "run the same command again later",
  );
}

/** SHA-256, or for a short hash git's SHA-1 of a file with its header. */
async function hashOf(file: Deno.FsFile, { hash, bytes }: BlobEntry): Promise<string> {
  const large = hash.length === 64;
  const digest = createHash(large ? "sha256" : "sha1");
  if (!large) digest.update(`blob ${bytes}\0`);
  await file.seek(0, Deno.SeekMode.Start);
  const buffer = new Uint8Array(1 << 20);
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    digest.update(buffer.subarray(0, read));
  }
  return digest.digest("hex");
}
