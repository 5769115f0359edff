/** What a page of Parquet holds, looked through: how many values and rows, and whether its bytes can stand for them. */
import { scanDeltas, scanRuns } from "./levels.ts";
import type { Cursor } from "./thrift.ts";

/** Bytes and values that are unpacked at once, at most. A writer's page has a megabyte or so. */
export const MOST_BYTES = 1 << 28;
export const MOST_VALUES = 1 << 22;

/** A column of single values, as the schema has it. */
export interface Leaf {
  /** Names from the outermost structure inwards. */
  readonly path: readonly string[];
  readonly type: string;
  /** Bytes of a value of fixed length. */
  readonly typeLength: number;
  /** How many of the structures around a value may be missing, and how many are lists. */
  readonly maxDefinition: number;
  readonly maxRepetition: number;
}

/** What a page of the second form says besides: the bytes of its levels, which are not packed, its nulls and rows. */
export interface SecondForm {
  readonly repetition: number;
  readonly definition: number;
  readonly nulls: number;
  readonly rows: number;
  /** Whether the values are packed. */
  readonly isPacked: boolean;
}

/** Numbers of the encodings. */
export const ENCODINGS = {
  plain: 0,
  plainDictionary: 2,
  runs: 3,
  deltas: 5,
  deltaLengths: 6,
  deltaTexts: 7,
  dictionary: 8,
  streamSplit: 9,
} as const;

/** Bits of a value as it is, by type; of texts, those of the length in front of them. */
const BITS: Readonly<Record<string, number>> = {
  BOOLEAN: 1,
  INT32: 32,
  INT64: 64,
  INT96: 96,
  FLOAT: 32,
  DOUBLE: 64,
  BYTE_ARRAY: 32,
};

/** What the levels in front of a page's values say. */
export interface Levels {
  /** Values that are not null. */
  readonly present: number;
  readonly rows: number;
  readonly continues: boolean;
  /** Where the values begin. */
  readonly offset: number;
}

/** Levels of the first form, each behind its length. @throws {Error} if they are not sound */
export function levelsOf(bytes: Uint8Array, { maxRepetition, maxDefinition }: Leaf, values: number): Levels {
  let offset = 0;
  const scan = (max: number, wanted: number) => {
    if (offset + 4 > bytes.length) throw new Error("levels end too early");
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true);
    const start = offset + 4;
    offset = start + length;
    if (offset > bytes.length) throw new Error("levels are longer than their page");
    return scanRuns({ bytes, offset: start, end: offset }, bitsFor(max), values, wanted);
  };
  const repetition = maxRepetition > 0 ? scan(maxRepetition, 0) : undefined;
  const definition = maxDefinition > 0 ? scan(maxDefinition, maxDefinition) : undefined;
  return {
    present: definition?.equal ?? values,
    rows: repetition?.equal ?? values,
    continues: (repetition?.first ?? 0) > 0,
    offset,
  };
}

/** Levels of the second form, whose lengths stand in the header. @throws {Error} if they are not sound */
export function levelsOf2(
  bytes: Uint8Array,
  { maxRepetition, maxDefinition }: Leaf,
  values: number,
  { repetition, definition, nulls, rows }: SecondForm,
): Levels {
  const offset = repetition + definition;
  const repeats = maxRepetition > 0
    ? scanRuns({ bytes, offset: 0, end: repetition }, bitsFor(maxRepetition), values, 0)
    : undefined;
  const defined = maxDefinition > 0
    ? scanRuns({ bytes, offset: repetition, end: offset }, bitsFor(maxDefinition), values, maxDefinition)
    : undefined;
  const present = defined?.equal ?? values;
  if (present !== values - nulls) {
    throw new Error(`a page has ${values - present} nulls, its header says ${nulls}`);
  }
  if ((repeats?.equal ?? values) !== rows) throw new Error(`a page has other rows than its header says`);
  return { present, rows, continues: (repeats?.first ?? 0) > 0, offset };
}

function bitsFor(level: number): number {
  return 32 - Math.clz32(level);
}

/** Refuses more values than fit into so many bytes. */
export function checkSize({ type, typeLength }: Leaf, count: number, bytes: number): void {
  const bits = BITS[type] ?? typeLength * 8;
  if (bits > 0 && Math.ceil(count * bits / 8) <= bytes) return;
  throw new Error(`${count} values of type ${type} stand in ${bytes} bytes`);
}

/**
 * Looks through the values of a page.
 *
 * @param count values that are not null
 * @param entries values in the column's dictionary; none without one
 * @throws {Error} if the bytes cannot stand for so many
 */
export function checkValues(
  cursor: Cursor,
  leaf: Leaf,
  encoding: number,
  count: number,
  entries: number | undefined,
  second: boolean,
): void {
  const { type } = leaf, left = () => cursor.end - cursor.offset;
  const refuse = () => new Error(`values of type ${type} in encoding ${encoding}, which is not read`);
  switch (encoding) {
    case ENCODINGS.plain:
      return checkSize(leaf, count, left());
    case ENCODINGS.dictionary:
    case ENCODINGS.plainDictionary: {
      if (type === "BOOLEAN") throw refuse();
      if (entries === undefined) throw new Error("a page needs a dictionary, and there is none");
      if (count === 0) return;
      if (left() === 0) throw new Error("a page ends too early");
      const width = cursor.bytes[cursor.offset++];
      if (width > 32 || second && width === 0 && entries === 0) throw new Error(`entries of ${width} bits`);
      const largest = width === 0 ? 0 : scanRuns(cursor, width, count, -1).largest;
      if (largest >= entries) throw new Error(`entry ${largest} of a dictionary with ${entries}`);
      return;
    }
    case ENCODINGS.runs:
      if (type !== "BOOLEAN") throw refuse();
      if (left() < 4) throw new Error("a page ends too early");
      cursor.offset += 4;
      scanRuns(cursor, 1, count, 1);
      return;
    case ENCODINGS.deltas:
      if (type !== "INT32" && type !== "INT64") throw refuse();
      return scanDeltas(cursor, count);
    case ENCODINGS.deltaLengths: {
      if (type !== "BYTE_ARRAY") throw refuse();
      const lengths = new Int32Array(count);
      scanDeltas(cursor, count, lengths);
      if (sum(lengths) > left()) throw new Error("texts are longer than their page");
      return;
    }
    case ENCODINGS.deltaTexts: {
      if (type !== "BYTE_ARRAY" && type !== "FIXED_LEN_BYTE_ARRAY") throw refuse();
      const shared = new Int32Array(count), own = new Int32Array(count);
      scanDeltas(cursor, count, shared);
      scanDeltas(cursor, count, own);
      if (sum(own) > left()) throw new Error("texts are longer than their page");
      shared.forEach((length, index) => {
        if (length > (index === 0 ? 0 : shared[index - 1] + own[index - 1])) {
          throw new Error("a text shares more than there is");
        }
      });
      // Each may repeat the one before, so that texts can be far longer than their page.
      if (sum(shared) + sum(own) > MOST_BYTES) {
        throw new Error(`texts of more than ${MOST_BYTES} bytes in one page`);
      }
      return;
    }
    case ENCODINGS.streamSplit:
      return checkSize(leaf, count, left());
    default:
      throw refuse();
  }
}

function sum(lengths: Int32Array): number {
  let sum = 0;
  for (const length of lengths) {
    if (length < 0) throw new Error(`a text of ${length} bytes`);
    sum += length;
  }
  return sum;
}
