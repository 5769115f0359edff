/** Vectors that take a model to compute, kept on disk for all runs that want them again. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { UserError } from "./errors.ts";
import { dataError, exists, fileError, writeFileAtomic } from "./files.ts";

/** Bytes that the files of a cache take at most, unless told otherwise: 4 GiB. */
export const FEATURE_CACHE_BYTES: number = 4 * 2 ** 30;

/** First bytes of a file: format and version. */
const MAGIC = new TextEncoder().encode("CREDFEA1");

/** Magic, number of vectors, values of each; then keys, values and the hash of all before it. */
const HEADER_BYTES = 16, HASH_BYTES = 32;

const SUFFIX = ".features";

/** What a killed program may have left half-written is cleared away after this long. */
const STALE_MS = 60 * 60 * 1000;

/** How a cache is opened. */
export interface FeatureCacheOptions {
  /** Bytes that all its files together take at most; {@linkcode FEATURE_CACHE_BYTES} unless given. */
  readonly maxBytes?: number;
}

/**
 * A folder of vectors by key.
 *
 * Vectors are written in files that are never changed, each whole or not at all, so programs may share the folder and be
 * killed at any time. A file whose hash is wrong counts as absent, and is deleted. When all files together are larger
 * than the cache may be, those that were used longest ago are deleted.
 *
 * @example What was written is there, in this program and the next
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { FeatureCache } from "@credence/credence";
 *
 * const folder = await Deno.makeTempDir();
 * const key = "00".repeat(32);
 * await new FeatureCache(folder).write("model", new Map([[key, Float32Array.of(1, 2)]]));
 * assertEquals((await new FeatureCache(folder).read("model", new Set([key]))).get(key), Float32Array.of(1, 2));
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export class FeatureCache {
  /** Where it lies. */
  readonly folder: string;
  readonly #maxBytes: number;

  /** Makes the folder when something is written. */
  constructor(folder: string, { maxBytes = FEATURE_CACHE_BYTES }: FeatureCacheOptions = {}) {
    this.folder = folder;
    this.#maxBytes = maxBytes;
  }

  /**
   * Those of the vectors that are there.
   *
   * @param group what the keys belong to, as in a model's fingerprint; a name for a folder
   * @param keys SHA-256 of what each is a vector of, as hexadecimal
   */
  async read(group: string, keys: ReadonlySet<string>): Promise<Map<string, Float32Array<ArrayBuffer>>> {
    const found = new Map<string, Float32Array<ArrayBuffer>>();
    for (const path of await this.#files(group)) {
      if (found.size === keys.size) break;
      const held = await readKeys(path);
      if (!held?.some((key) => keys.has(key) && !found.has(key))) continue;
      const vectors = await readVectors(path, held.length);
      if (!vectors) continue;
      held.forEach((key, index) => {
        if (keys.has(key)) found.set(key, vectors[index]);
      });
      // What was used last is deleted last. Another program may just have deleted it.
      await Deno.utime(path, new Date(), new Date()).catch(() => {});
    }
    return found;
  }

  /**
   * Keeps vectors, all of one length.
   *
   * @throws {UserError} of kind `data` if the folder cannot be written to
   */
  async write(group: string, vectors: ReadonlyMap<string, Float32Array<ArrayBuffer>>): Promise<void> {
    if (vectors.size === 0) return;
    const bytes = encode(vectors);
    if (bytes.length > this.#maxBytes) return;
    const path = join(this.folder, group, `${crypto.randomUUID()}${SUFFIX}`);
    try {
      await writeFileAtomic(path, bytes);
      await this.#shrink(path);
    } catch (error) {
      const known = fileError(error, "write", path);
      if (!(known instanceof UserError)) throw known;
      throw dataError(
        known.what,
        known.where,
        "choose another --cache-dir, or make room in this one",
        error,
      );
    }
  }

  /** Deletes the files that were used longest ago, until the others are as small as they have to be. */
  async #shrink(newest: string): Promise<void> {
    const files: { path: string; size: number; used: number }[] = [];
    for (const group of await namesIn(this.folder)) {
      for (const name of await namesIn(join(this.folder, group))) {
        const path = join(this.folder, group, name);
        const stat = await Deno.stat(path).catch(() => undefined);
        if (!stat?.isFile) continue;
        const used = stat.mtime?.getTime() ?? 0;
        if (name.endsWith(SUFFIX)) files.push({ path, size: stat.size, used });
        else if (name.endsWith(".tmp") && Date.now() - used > STALE_MS) await discard(path);
      }
    }
    let total = files.reduce((sum, { size }) => sum + size, 0);
    for (const { path, size } of files.toSorted((a, b) => a.used - b.used)) {
      if (total <= this.#maxBytes) break;
      if (path === newest) continue;
      await discard(path);
      total -= size;
    }
  }

  async #files(group: string): Promise<string[]> {
    const names = await namesIn(join(this.folder, group));
    return names.filter((name) => name.endsWith(SUFFIX)).sort().map((name) => join(this.folder, group, name));
  }
}

async function namesIn(folder: string): Promise<string[]> {
  if (!await exists(folder) || !(await Deno.stat(folder)).isDirectory) return [];
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
}

/** Another program may have deleted it first. */
async function discard(path: string): Promise<void> {
  await Deno.remove(path).catch(() => {});
}

function encode(vectors: ReadonlyMap<string, Float32Array<ArrayBuffer>>): Uint8Array<ArrayBuffer> {
  const width = vectors.values().next().value!.length, count = vectors.size;
  const bytes = new Uint8Array(HEADER_BYTES + count * (HASH_BYTES + 4 * width) + HASH_BYTES);
  bytes.set(MAGIC);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, count, true);
  view.setUint32(12, width, true);
  const values = new Float32Array(count * width);
  let index = 0;
  for (const [key, vector] of vectors) {
    if (vector.length !== width) throw new RangeError("FeatureCache.write() needs vectors of one length");
    bytes.set(Uint8Array.fromHex(key), HEADER_BYTES + index * HASH_BYTES);
    values.set(vector, index++ * width);
  }
  bytes.set(new Uint8Array(values.buffer), HEADER_BYTES + count * HASH_BYTES);
  const body = bytes.subarray(0, bytes.length - HASH_BYTES);
  bytes.set(createHash("sha256").update(body).digest(), body.length);
  return bytes;
}

/** Keys of the vectors in a file; none if it is not sound, and then it is gone. */
async function readKeys(path: string): Promise<string[] | undefined> {
  try {
    using file = await Deno.open(path);
    const header = await readBytes(file, HEADER_BYTES);
    const view = new DataView(header.buffer);
    const count = view.getUint32(8, true), width = view.getUint32(12, true);
    const { size } = await file.stat();
    if (
      MAGIC.every((byte, index) => header[index] === byte) &&
      size === HEADER_BYTES + count * (HASH_BYTES + 4 * width) + HASH_BYTES
    ) {
      const keys = await readBytes(file, count * HASH_BYTES);
      return Array.from(
        { length: count },
        (_, index) => keys.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES).toHex(),
      );
    }
  } catch (error) {
    if (!isGone(error)) throw fileError(error, "read", path);
  }
  await discard(path);
  return undefined;
}

/** The vectors of a file; none if its hash is wrong, and then it is gone. */
async function readVectors(path: string, count: number): Promise<Float32Array<ArrayBuffer>[] | undefined> {
  try {
    const bytes = await Deno.readFile(path);
    const body = bytes.subarray(0, bytes.length - HASH_BYTES);
    const hash = createHash("sha256").update(body).digest();
    if (bytes.subarray(body.length).every((byte, index) => byte === hash[index])) {
      const values = new Float32Array(body.slice(HEADER_BYTES + count * HASH_BYTES).buffer);
      const width = values.length / count;
      return Array.from({ length: count }, (_, index) => values.slice(index * width, (index + 1) * width));
    }
  } catch (error) {
    if (!isGone(error)) throw fileError(error, "read", path);
  }
  await discard(path);
  return undefined;
}

/** Deleted by another program, or shorter than it says. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.UnexpectedEof;
}

async function readBytes(file: Deno.FsFile, count: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  for (let done = 0; done < count;) {
    const read = await file.read(bytes.subarray(done));
    if (read === null) throw new Deno.errors.UnexpectedEof("the file is too short");
    done += read;
  }
  return bytes;
}
