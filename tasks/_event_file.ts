/**
 * TensorBoard's event files: TFRecords of protocol buffers.
 *
 * A record is its length, a checksum of the length, its bytes and a checksum of these (tensorflow/core/lib/io/
 * record_writer.h); the messages are those of tensorboard/compat/proto/event.proto and summary.proto.
 */
import { join } from "node:path";
import { fileError } from "../core/files.ts";
import { writeBytes } from "./_io.ts";

/** What an event says: the version of the file, that a session starts, or the values of a step. */
export type Event =
  | { readonly fileVersion: string }
  | { readonly start: true; readonly step: number }
  | { readonly values: Readonly<Record<string, number>>; readonly step: number };

/** Readers take a session's start for what it is from this version on. */
const VERSION = "brain.Event:2";

/** Scalars of each step for TensorBoard, in a file of their own for every session. */
export class EventFile implements Disposable {
  readonly #folder: string;
  readonly #now: () => number;
  #path = "";
  #file?: Deno.FsFile;

  /**
   * @param folder where the file is to lie; it is made with the first value
   * @param now ms since 1970, which events carry and the file's name
   */
  constructor(folder: string, now: () => number = Date.now) {
    this.#folder = folder;
    this.#now = now;
  }

  /**
   * Appends the values of a step. The first step of a session makes readers drop what an earlier session has written
   * of this step and later ones.
   */
  write(step: number, values: Readonly<Record<string, number>>): void {
    try {
      if (!this.#file) {
        // Readers take the files of a folder in the order of their names.
        const milliseconds = String(this.#now()).padStart(13, "0");
        this.#path = join(
          this.#folder,
          `events.out.tfevents.${milliseconds.slice(0, -3)}.${milliseconds.slice(-3)}.credence`,
        );
        this.#file = Deno.openSync(this.#path, { createNew: true, write: true });
        this.#append({ fileVersion: VERSION });
        this.#append({ start: true, step });
      }
      this.#append({ step, values });
    } catch (error) {
      throw fileError(error, "write", this.#path);
    }
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }

  #append(event: Event): void {
    writeBytes(this.#file!, tfRecord(encodeEvent(event, this.#now() / 1000)));
  }
}

/**
 * A message of event.proto.
 *
 * @param seconds since 1970
 */
export function encodeEvent(event: Event, seconds: number): Uint8Array {
  const time = field(1, "f64", seconds);
  if ("fileVersion" in event) return concat(time, field(3, "bytes", encode(event.fileVersion)));
  const step = event.step === 0 ? [] : [field(2, "varint", event.step)];
  // SessionLog { status: START }
  if ("start" in event) return concat(time, ...step, field(7, "bytes", field(1, "varint", 1)));
  const values = Object.entries(event.values).map(([tag, value]) =>
    field(1, "bytes", concat(field(1, "bytes", encode(tag)), field(2, "f32", value)))
  );
  return concat(time, ...step, field(5, "bytes", concat(...values)));
}

/** A record with its two checksums. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(16 + data.length), view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return record;
}

/** CRC-32C of each byte: the reversed polynomial 0x1EDC6F41 of RFC 3720. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0x82f63b78 : byte >>> 1;
  return byte;
});

/** CRC-32C, rotated and shifted, so that the checksum of data that holds checksums is a sound one. */
function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Wire types of protocol buffers. */
const WIRE = { varint: 0, f64: 1, bytes: 2, f32: 5 } as const;

function field(number: number, type: "bytes", value: Uint8Array): Uint8Array;
function field(number: number, type: "varint" | "f64" | "f32", value: number): Uint8Array;
function field(number: number, type: keyof typeof WIRE, value: number | Uint8Array): Uint8Array {
  const key = varint(number << 3 | WIRE[type]);
  if (typeof value !== "number") return concat(key, varint(value.length), value);
  if (type === "varint") return concat(key, varint(value));
  const bytes = new Uint8Array(type === "f64" ? 8 : 4), view = new DataView(bytes.buffer);
  if (type === "f64") view.setFloat64(0, value, true);
  else view.setFloat32(0, value, true);
  return concat(key, bytes);
}

/** Seven bits a byte, the lowest first. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return Uint8Array.from([...bytes, value]);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let first = 0;
  for (const part of parts) {
    all.set(part, first);
    first += part.length;
  }
  return all;
}
