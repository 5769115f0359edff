/**
 * What zstd has compressed (RFC 8878), unpacked block by block. Deno's stream alone takes the first of several frames
 * for all of them and an early end for the end, and it throws what is wrong with a later piece where nobody catches it.
 */
import { createZstdDecompress } from "node:zlib";
import type { ByteSource } from "./pages.ts";

/** With what a frame begins, and one that is to be skipped, whose last four bits are free. */
const FRAME = 0xfd2fb528, SKIPPED = 0x184d2a5;

/** Twice the most that a block unpacks to, so that the stream need not come back to one. */
const OUTPUT_BYTES = 1 << 18;

/** Whether bytes begin as those that zstd writes. */
export function isZstd(head: Uint8Array): boolean {
  if (head.length < 4) return false;
  const magic = uint32(head);
  return magic === FRAME || magic >>> 4 === SKIPPED;
}

/** The unpacked bytes of a file, piece by piece. @throws {Error} if it is not sound, or ends in a frame */
export async function* unpackZstd(file: ByteSource): AsyncIterable<Uint8Array> {
  let at = 0;
  const look = async (bytes: number) => {
    if (at + bytes > file.byteLength) throw new Error("unexpected end of file");
    return await file.read(at, at + bytes);
  };
  const take = async (bytes: number) => {
    const taken = await look(bytes);
    at += bytes;
    return taken;
  };
  while (at < file.byteLength) {
    const magic = uint32(await look(4));
    if (magic >>> 4 === SKIPPED) {
      await take(8 + uint32((await look(8)).subarray(4)));
      continue;
    }
    if (magic !== FRAME) throw new Error(`no frame begins at byte ${at}`);
    const [, , , , descriptor] = await look(5), frame = openFrame();
    try {
      yield* await frame.write(await take(headerBytes(descriptor)));
      for (let last = false; !last;) {
        const [low, middle, high] = await look(3), header = low | middle << 8 | high << 16;
        last = (header & 1) === 1;
        const isRepeated = (header >> 1 & 3) === 1, checksum = last && (descriptor & 4) > 0 ? 4 : 0;
        yield* await frame.write(await take(3 + (isRepeated ? 1 : header >> 3) + checksum));
      }
      yield* await frame.end();
    } finally {
      frame.close();
    }
  }
}

/** Bytes of a frame's header, by its fifth. */
function headerBytes(descriptor: number): number {
  const isSingle = (descriptor >> 5 & 1) === 1;
  const dictionary = [0, 1, 2, 4][descriptor & 3], size = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6];
  return 5 + (isSingle ? 0 : 1) + dictionary + size;
}

/** Unpacks a frame. What is written gives what has been unpacked by then. */
function openFrame() {
  const stream = createZstdDecompress({ chunkSize: OUTPUT_BYTES });
  let pieces: Uint8Array[] = [], error: Error | undefined, fail = (_: Error) => {};
  stream.on("data", (piece: Uint8Array) => pieces.push(piece));
  stream.on("error", (found: Error) => fail(error = found));
  const after = async (work: (done: () => void) => void) => {
    await new Promise<void>((resolve, reject) => {
      if (error) throw error;
      fail = reject;
      work(resolve);
    });
    const unpacked = pieces;
    pieces = [];
    return unpacked;
  };
  return {
    write: (bytes: Uint8Array) => after((done) => stream.write(bytes, () => done())),
    end: () => after((done) => stream.once("end", done).end()),
    close: () => stream.destroy(),
  };
}

function uint32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}
