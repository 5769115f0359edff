/**
 * Thrift's compact protocol, in which Parquet states its structure: read with bounds, because a damaged file may say
 * anything, and written.
 */

/** A field's value; numbers beyond 2^53 lose their last digits. */
export type ThriftValue = number | boolean | Uint8Array | readonly ThriftValue[] | ThriftStruct;

/** Fields by number. */
export type ThriftStruct = ReadonlyMap<number, ThriftValue>;

/** Structures may lie this deep in each other; Parquet's own lie five deep. */
const DEEPEST = 16;

/** Values of one structure, those inside others counted; each costs some hundred bytes of memory. */
const MOST_VALUES = 4_000_000;

/** Bytes, and where reading them stands. */
export interface Cursor {
  readonly bytes: Uint8Array;
  offset: number;
  /** Behind the last byte that may be read. */
  readonly end: number;
}

/** One byte. @throws {Error} behind the end */
export function readByte(cursor: Cursor): number {
  if (cursor.offset >= cursor.end) throw new Error("it ends in the middle of a value");
  return cursor.bytes[cursor.offset++];
}

/** A whole number of seven bits a byte, of at most `longest` bytes. */
export function readVarint(cursor: Cursor, longest = 5): number {
  let value = 0, unit = 1;
  for (let count = 0; count < longest; count++, unit *= 128) {
    const byte = readByte(cursor);
    value += (byte & 127) * unit;
    if (byte < 128) return value;
  }
  throw new Error("a whole number is too long");
}

/** Reads a structure, and leaves the cursor behind it. @throws {Error} if it is not sound */
export function readStruct(cursor: Cursor): ThriftStruct {
  return new Reader(cursor).struct(0);
}

class Reader {
  readonly #cursor: Cursor;
  #values = 0;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  struct(depth: number): ThriftStruct {
    if (depth > DEEPEST) throw new Error(`structures lie more than ${DEEPEST} deep in each other`);
    const fields = new Map<number, ThriftValue>();
    for (let field = 0;;) {
      const byte = readByte(this.#cursor);
      if (byte === 0) return fields;
      field = byte >> 4 ? field + (byte >> 4) : this.#signed(3);
      fields.set(field, this.#value(byte & 15, depth));
    }
  }

  #value(type: number, depth: number): ThriftValue {
    const cursor = this.#cursor;
    if (++this.#values > MOST_VALUES) throw new Error(`it states more than ${MOST_VALUES} values`);
    switch (type) {
      case 1:
        return true;
      case 2:
        return false;
      case 3:
        return readByte(cursor) << 24 >> 24;
      case 4:
      case 5:
        return this.#signed(5);
      case 6:
        return this.#signed(10);
      case 7:
        this.#take(8);
        return new DataView(cursor.bytes.buffer, cursor.bytes.byteOffset + cursor.offset - 8).getFloat64(
          0,
          true,
        );
      case 8: {
        const length = readVarint(cursor);
        return this.#take(length);
      }
      case 9:
        return this.#list(depth);
      case 12:
        return this.struct(depth + 1);
      default:
        throw new Error(`a value has the unknown type ${type}`);
    }
  }

  #list(depth: number): readonly ThriftValue[] {
    const byte = readByte(this.#cursor), type = byte & 15;
    const length = byte >> 4 === 15 ? readVarint(this.#cursor) : byte >> 4;
    // An item takes a byte at least, so that a short file cannot ask for a long list.
    if (length > this.#cursor.end - this.#cursor.offset) {
      throw new Error(`a list of ${length} is longer than the file`);
    }
    if (depth + 1 > DEEPEST) throw new Error(`lists lie more than ${DEEPEST} deep in each other`);
    // Alone among values, a truth value in a list is a byte.
    return Array.from({ length }, () => this.#value(type === 1 || type === 2 ? 3 : type, depth + 1));
  }

  #signed(longest: number): number {
    const zigzag = readVarint(this.#cursor, longest);
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }

  #take(length: number): Uint8Array {
    const { bytes, offset, end } = this.#cursor;
    if (length > end - offset) throw new Error(`a text of ${length} bytes is longer than the file`);
    this.#cursor.offset += length;
    return bytes.subarray(offset, offset + length);
  }
}

/** What {@linkcode writeStruct} writes: fields by number, in ascending order. */
export interface Written {
  readonly [field: number]: number | boolean | Written | readonly Written[];
}

/** The bytes of a structure of whole numbers (of 32 bits, beyond that of 64), truth values, structures and lists. */
export function writeStruct(fields: Written): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  write(bytes, fields);
  return Uint8Array.from(bytes);
}

function write(bytes: number[], fields: Written): void {
  let last = 0;
  for (const [name, value] of Object.entries(fields)) {
    const field = Number(name), head = (field - last) << 4;
    last = field;
    if (typeof value === "boolean") bytes.push(head | (value ? 1 : 2));
    else if (typeof value === "number") {
      bytes.push(head | (value < 2 ** 31 ? 5 : 6));
      writeVarint(bytes, value * 2);
    } else if (isList(value)) {
      bytes.push(head | 9, 15 << 4 | 12);
      writeVarint(bytes, value.length);
      for (const item of value) write(bytes, item);
    } else {
      bytes.push(head | 12);
      write(bytes, value);
    }
  }
  bytes.push(0);
}

function isList(value: Written | readonly Written[]): value is readonly Written[] {
  return Array.isArray(value);
}

function writeVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 | 128);
  bytes.push(rest);
}
