import { assertEquals, assertRejects } from "@std/assert";
import { constants, zstdCompressSync } from "node:zlib";
import { createRng } from "@credence/credence";
import { isZstd, unpackZstd } from "../../../../plugins/datasets/tables/zstd.ts";

/** Of several blocks, which neither repeat nor can all be packed. */
const rng = createRng(1);
const BYTES = Uint8Array.from(
  { length: 400_000 },
  (_, at) => at < 300_000 ? rng.integer(at < 150_000 ? 256 : 4) : 7,
);

const packed = (bytes: Uint8Array) =>
  new Uint8Array(zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }));

const joined = (...parts: readonly Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

async function unpacked(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const file = {
    byteLength: bytes.length,
    read: (start: number, end: number) => Promise.resolve(bytes.subarray(start, end)),
  };
  return joined(...await Array.fromAsync(unpackZstd(file)));
}

/** A frame with what others may make of it, which is to be skipped. */
const SKIPPED = Uint8Array.of(0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);

Deno.test("unpackZstd() gives what every frame of a file holds, and skips those that say so", async () => {
  const frame = packed(BYTES), empty = packed(new Uint8Array());
  assertEquals(await unpacked(frame), BYTES);
  assertEquals(await unpacked(joined(SKIPPED, frame, empty, frame, SKIPPED)), joined(BYTES, BYTES));
  assertEquals(
    [frame, SKIPPED, Uint8Array.of(0x28, 0xb5), Uint8Array.of(0x28, 0xb5, 0x2f, 0xfe)].map(isZstd),
    [
      true,
      true,
      false,
      false,
    ],
  );
});

Deno.test("unpackZstd() refuses a file that ends early, wherever that is", async () => {
  const file = joined(packed(BYTES), SKIPPED, packed(BYTES)), whole = (file.length - SKIPPED.length) / 2;
  for (
    const length of [
      1,
      3,
      4,
      5,
      9,
      200,
      whole >> 1,
      whole - 5,
      whole - 1,
      whole + 5,
      whole + 9,
      file.length - 1,
    ]
  ) {
    await assertRejects(() => unpacked(file.subarray(0, length)), Error, "unexpected end of file");
  }
  await assertRejects(
    () => unpacked(joined(packed(BYTES), BYTES)),
    Error,
    `no frame begins at byte ${whole}`,
  );
});

Deno.test("unpackZstd() throws for a damaged byte, wherever that is", async () => {
  const frame = packed(BYTES);
  for (let at = 5; at < frame.length; at += Math.ceil(frame.length / 40)) {
    const damaged = frame.slice();
    damaged[at] ^= 0x55;
    await assertRejects(() => unpacked(damaged), Error);
  }
  for (let at = frame.length - 4; at < frame.length; at++) {
    const damaged = frame.slice();
    damaged[at] ^= 1;
    await assertRejects(() => unpacked(damaged), Error, "checksum");
  }
});
