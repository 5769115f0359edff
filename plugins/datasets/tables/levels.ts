/**
 * The encodings of Parquet in which a few bytes can stand for any number of values: looked through before they are
 * decoded, so that no page takes more memory than its header admits to.
 */
import { type Cursor, readByte, readVarint } from "./thrift.ts";

/** Values that a bit-packed run may have more than are left; writers fill up to a group of 8, some to 63 groups. */
const PADDING = 63 * 8;

/** What is in a stream of runs. */
export interface Runs {
  /** Values equal to the one asked for. */
  readonly equal: number;
  /** The first and the largest value; 0 if there are none. */
  readonly first: number;
  readonly largest: number;
}

/**
 * Looks through runs of equal and of bit-packed values.
 *
 * @param width bits of a value, at most 32
 * @param count values the stream stands for
 * @param wanted value to count
 * @throws {Error} if the runs stand for fewer values, or for more
 */
export function scanRuns(cursor: Cursor, width: number, count: number, wanted: number): Runs {
  let equal = 0, first = 0, largest = 0, seen = 0;
  const see = (value: number, times: number) => {
    if (seen === 0) first = value;
    if (value === wanted) equal += times;
    if (value > largest) largest = value;
    seen += times;
  };
  while (seen < count) {
    const header = readVarint(cursor), left = count - seen;
    if (header % 2 === 0) {
      const times = header / 2;
      if (times > left) throw new Error(`a run of ${times} values stands where ${left} are left`);
      let value = 0;
      for (let shift = 0; shift < width; shift += 8) value += readByte(cursor) * 2 ** shift;
      if (times > 0) see(value, times);
      continue;
    }
    const groups = (header - 1) / 2;
    if (groups * 8 > left + PADDING) {
      throw new Error(`${groups * 8} values are packed where ${left} are left`);
    }
    const start = cursor.offset, values = Math.min(groups * 8, left);
    if (start + Math.ceil(values * width / 8) > cursor.end) throw new Error("packed values end too early");
    for (let index = 0; index < values; index++) see(bitsAt(cursor.bytes, start, index * width, width), 1);
    cursor.offset = Math.min(start + groups * width, cursor.end);
  }
  return { equal, first, largest };
}

/** `width` bits, at most 32, from the lowest on. */
function bitsAt(bytes: Uint8Array, start: number, bit: number, width: number): number {
  const at = start + Math.floor(bit / 8), shift = bit % 8;
  const low = (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> shift;
  const high = shift === 0 ? 0 : bytes[at + 4] << 32 - shift;
  return width === 32 ? (low | high) >>> 0 : (low | high) & (1 << width) - 1;
}

/**
 * Looks through differences of whole numbers, in blocks of packed ones.
 *
 * @param values where the numbers go, of 32 bits; without it they are not computed
 * @throws {Error} if they are not sound, or not `count`
 */
export function scanDeltas(cursor: Cursor, count: number, values?: Int32Array): void {
  const block = readVarint(cursor), parts = readVarint(cursor), total = readVarint(cursor);
  const perPart = block / parts;
  if (parts === 0 || perPart % 8 !== 0 || perPart === 0 || block > 1 << 20) {
    throw new Error(`blocks of ${block} numbers in ${parts} parts`);
  }
  if (total !== count) throw new Error(`${total} numbers stand where ${count} should`);
  let value = readZigzag(cursor), done = 1;
  if (values && count > 0) values[0] = value;
  while (done < count) {
    const least = readZigzag(cursor), widths = cursor.offset;
    cursor.offset += parts;
    if (cursor.offset > cursor.end) throw new Error("packed numbers end too early");
    for (let part = 0; part < parts && done < count; part++) {
      const width = cursor.bytes[widths + part], start = cursor.offset;
      if (width > (values ? 32 : 64)) throw new Error(`numbers of ${width} bits`);
      cursor.offset += perPart * width / 8;
      if (cursor.offset > cursor.end) throw new Error("packed numbers end too early");
      const here = Math.min(perPart, count - done);
      if (values) {
        for (let index = 0; index < here; index++) {
          value = value + least + (width === 0 ? 0 : bitsAt(cursor.bytes, start, index * width, width)) | 0;
          values[done + index] = value;
        }
      }
      done += here;
    }
  }
}

/** The low 32 bits of a signed number. */
function readZigzag(cursor: Cursor): number {
  let low = 0, high = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = readByte(cursor);
    if (shift < 32) low |= (byte & 127) << shift;
    if (shift === 28) high = byte >> 4 & 1;
    if (byte < 128) return (low >>> 1 | high << 31) ^ -(low & 1);
  }
  throw new Error("a whole number is too long");
}
