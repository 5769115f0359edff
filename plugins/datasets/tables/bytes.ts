/** Files on this machine: bytes anywhere in them, and their text from front to back. */
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { dataError } from "../../../core/mod.ts";
import type { ByteSource } from "./pages.ts";
import { isZstd, unpackZstd } from "./zstd.ts";

/** Bytes that are fetched at once, also where fewer are asked for. */
const BLOCK = 1 << 20;

/** Text that unpacks to more than this is refused where it is more than so many times as long as its file. */
const UNPACKED_FREELY = 2 ** 30;
const LARGEST_RATIO = 2000;

/** A file that is open. */
export interface OpenFile extends ByteSource, Disposable {}

/** Opens a file. @throws {UserError} of kind `data` if there is none at the path */
export async function openFile(path: string): Promise<OpenFile> {
  const file = await Deno.open(path);
  const { isFile, isDirectory, size } = await file.stat();
  if (!isFile) {
    file.close();
    const fix = isDirectory ? "name a file in it" : "name a file";
    throw dataError(isDirectory ? "It is a folder" : "It is not a file", path, fix);
  }
  let block = new Uint8Array(), blockStart = 0;
  const fetch = async (start: number, end: number) => {
    const bytes = new Uint8Array(end - start);
    await file.seek(start, Deno.SeekMode.Start);
    for (let filled = 0; filled < bytes.length;) {
      const read = await file.read(bytes.subarray(filled));
      if (read === null) {
        throw dataError(`It ended at byte ${start + filled} while it was read`, path, "try again");
      }
      filled += read;
    }
    return bytes;
  };
  return {
    byteLength: size,
    async read(start, end) {
      if (start < blockStart || end > blockStart + block.length) {
        if (end - start >= BLOCK) return await fetch(start, end);
        [block, blockStart] = [await fetch(start, Math.min(start + BLOCK, size)), start];
      }
      return block.subarray(start - blockStart, end - blockStart);
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/** A file's text, piece by piece, unpacked if it is compressed with gzip or zstd. A byte order mark is left out. */
export async function* readTextPieces(path: string): AsyncIterable<string> {
  using file = await openFile(path);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const bytes of unpacked(path, file)) {
    const text = decode(decoder, path, bytes);
    if (text !== "") yield text;
  }
  const text = decode(decoder, path);
  if (text !== "") yield text;
}

function decode(decoder: TextDecoder, path: string, bytes?: Uint8Array): string {
  try {
    return decoder.decode(bytes, { stream: bytes !== undefined });
  } catch (error) {
    throw dataError("It is not UTF-8 text", path, "save it as UTF-8", error);
  }
}

async function* unpacked(path: string, file: OpenFile): AsyncIterable<Uint8Array> {
  const head = await file.read(0, Math.min(4, file.byteLength));
  const [name, unpack] = head[0] === 0x1f && head[1] === 0x8b
    ? ["gzip", unpackGzip(file)]
    : isZstd(head)
    ? ["zstd", unpackZstd(file)]
    : [];
  if (unpack === undefined) {
    yield* blocksOf(file);
    return;
  }
  let bytes = 0;
  try {
    for await (const piece of unpack) {
      bytes += piece.length;
      if (bytes > UNPACKED_FREELY && bytes > LARGEST_RATIO * file.byteLength) {
        throw new Error(`it unpacks to more than ${LARGEST_RATIO} times its size`);
      }
      yield piece;
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(
      `Cannot unpack what ${name} has compressed: ${reason}`,
      path,
      "make or download it again",
      error,
    );
  }
}

function unpackGzip(file: OpenFile): AsyncIterable<Uint8Array> {
  const unpack = createGunzip();
  // An error ends the last of them, where it is thrown.
  pipeline(Readable.from(blocksOf(file)), unpack, () => {});
  return unpack;
}

async function* blocksOf(file: OpenFile): AsyncIterable<Uint8Array> {
  for (let start = 0; start < file.byteLength; start += BLOCK) {
    yield await file.read(start, Math.min(start + BLOCK, file.byteLength));
  }
}
