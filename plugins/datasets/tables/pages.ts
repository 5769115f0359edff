/**
 * Pages of a Parquet file: found by their headers, unpacked and looked through before anything decodes them, because a
 * page of a few bytes can claim to hold billions of values, and a damaged one sends a decoder anywhere.
 */
import { brotliDecompressSync, crc32, gunzipSync, zstdDecompressSync } from "node:zlib";
import { compressors } from "hyparquet-compressors";
import {
  checkSize,
  checkValues,
  ENCODINGS,
  type Leaf,
  levelsOf,
  levelsOf2,
  MOST_BYTES,
  MOST_VALUES,
  type SecondForm,
} from "./contents.ts";
import {
  type Cursor,
  readStruct,
  readVarint,
  type ThriftStruct,
  writeStruct,
  type Written,
} from "./thrift.ts";

/** A file that is read in pieces. */
export interface ByteSource {
  readonly byteLength: number;
  /** The bytes from `start` to before `end`, which lie in the file. They are overwritten by nobody. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** A page where it stands in the file. */
export interface Page {
  readonly kind: "data" | "data2" | "dictionary";
  /** Where its contents begin. */
  readonly start: number;
  /** Bytes in the file, and unpacked. */
  readonly packed: number;
  readonly unpacked: number;
  /** Values, nulls among them. */
  readonly values: number;
  readonly encoding: number;
  /** Of the second form of pages. */
  readonly second?: SecondForm;
  readonly checksum?: number;
}

/** The pages of one column in one group of rows. */
export interface Chunk {
  readonly dictionary?: Page;
  readonly pages: readonly Page[];
}

/** An unpacked page behind a header of its own. */
export interface UnpackedPage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Rows that begin in it. */
  readonly rows: number;
  /** Whether its first value goes on with a row of the page before. */
  readonly continues: boolean;
}

/** A page's header is small, but for the statistics in it. */
const USUAL_HEADER = 1 << 14;
const LONGEST_HEADER = 1 << 20;

/** Finds the pages of a column between two places of the file. @throws {Error} if they are not sound */
export async function findPages(
  source: ByteSource,
  leaf: Leaf,
  { start, end, values }: { readonly start: number; readonly end: number; readonly values: number },
): Promise<Chunk> {
  const pages: Page[] = [];
  let dictionary: Page | undefined, seen = 0;
  for (let at = start; seen < values;) {
    if (at >= end) throw new Error(`its pages hold ${seen} values, and should hold ${values}`);
    const { header, length } = await readHeader(source, at, end);
    const page = pageOf(header, at + length, leaf);
    const next = at + length + page.packed;
    if (next > end) {
      throw new Error(`a page of ${page.packed} bytes is longer than what is left of its column`);
    }
    at = next;
    if (page.kind === "dictionary") {
      if (dictionary || pages.length > 0) throw new Error("a dictionary stands behind other pages");
      dictionary = page as Page;
    } else if (page.kind !== undefined) {
      seen += page.values;
      pages.push(page as Page);
    }
  }
  if (seen > values) throw new Error(`its pages hold ${seen} values, and should hold ${values}`);
  return { dictionary, pages };
}

async function readHeader(source: ByteSource, at: number, end: number) {
  for (const most of [USUAL_HEADER, LONGEST_HEADER]) {
    const bytes = await source.read(at, Math.min(end, at + most));
    const cursor: Cursor = { bytes, offset: 0, end: bytes.length };
    try {
      const header = readStruct(cursor);
      return { header, length: cursor.offset };
    } catch (error) {
      if (most === LONGEST_HEADER || at + most >= end) throw error;
    }
  }
  throw new Error("a page has no header");
}

/** What a page's header says; one of no kind holds no data. */
function pageOf(
  header: ThriftStruct,
  start: number,
  leaf: Leaf,
): Omit<Page, "kind"> & { readonly kind: Page["kind"] | undefined } {
  const kind = (["data", undefined, "dictionary", "data2"] as const)[whole(header.get(1), "kind of page", 3)];
  const own = header.get(kind === "data" ? 5 : kind === "dictionary" ? 7 : 8);
  const fields: ThriftStruct = own instanceof Map ? own : new Map();
  const values = kind === undefined ? 0 : whole(fields.get(1), "number of values", MOST_VALUES);
  const packed = whole(header.get(3), "size of a page", MOST_BYTES);
  const unpacked = whole(header.get(2), "unpacked size of a page", MOST_BYTES);
  const encoding = kind === undefined
    ? ENCODINGS.plain
    : whole(fields.get(kind === "data2" ? 4 : 2), "encoding", 9);
  const checksum = header.get(4);
  const page = { kind, start, packed, unpacked, values, encoding };
  if (kind === "data" && leaf.maxDefinition > 0 && fields.get(3) !== ENCODINGS.runs) {
    throw new Error("an old encoding of levels");
  }
  if (kind === "data" && leaf.maxRepetition > 0 && fields.get(4) !== ENCODINGS.runs) {
    throw new Error("an old encoding of levels");
  }
  const second = kind !== "data2" ? undefined : {
    nulls: whole(fields.get(2), "number of nulls", values),
    rows: whole(fields.get(3), "number of rows", values),
    definition: whole(fields.get(5), "size of levels", Math.min(packed, unpacked)),
    repetition: whole(fields.get(6), "size of levels", Math.min(packed, unpacked)),
    isPacked: fields.get(7) !== false,
  };
  if (second && second.definition + second.repetition > Math.min(packed, unpacked)) {
    throw new Error("levels are longer than their page");
  }
  return {
    ...page,
    ...(second ? { second } : {}),
    ...(typeof checksum === "number" ? { checksum: checksum >>> 0 } : {}),
  };
}

function whole(value: unknown, what: string, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) return value;
  const bound = typeof value === "number" && value > most ? `, more than ${most}` : "";
  throw new Error(`a header says ${value} for the ${what}${bound}`);
}

/**
 * Unpacks a page and looks through what it holds.
 *
 * @param entries values in the column's dictionary; none without one
 * @throws {Error} if it is not sound
 */
export async function unpackPage(
  source: ByteSource,
  leaf: Leaf,
  codec: string,
  page: Page,
  entries: number | undefined,
): Promise<UnpackedPage> {
  const { start, packed, unpacked, values, encoding, second, checksum } = page;
  const raw = await source.read(start, start + packed);
  if (checksum !== undefined && crc32(raw) !== checksum) {
    throw new Error("a page is damaged: its checksum differs");
  }
  const bare = second ? second.repetition + second.definition : 0;
  const content = second && !second.isPacked ? raw : concat([
    raw.subarray(0, bare),
    unpack(codec, raw.subarray(bare), unpacked - bare),
  ]);
  if (content.length !== unpacked) {
    throw new Error(`a page of ${content.length} bytes should have ${unpacked}`);
  }
  if (page.kind === "dictionary") {
    if (encoding !== ENCODINGS.plain && encoding !== ENCODINGS.plainDictionary) {
      throw new Error(`a dictionary in encoding ${encoding}`);
    }
    checkSize(leaf, values, content.length);
    const header: Written = { 1: 2, 2: unpacked, 3: unpacked, 7: { 1: values, 2: ENCODINGS.plain } };
    return { bytes: concat([writeStruct(header), content]), rows: 0, continues: false };
  }
  const { present, rows, continues, offset } = second
    ? levelsOf2(content, leaf, values, second)
    : levelsOf(content, leaf, values);
  checkValues(
    { bytes: content, offset, end: content.length },
    leaf,
    encoding,
    present,
    entries,
    second !== undefined,
  );
  const header: Written = second
    ? {
      1: 3,
      2: unpacked,
      3: unpacked,
      8: {
        1: values,
        2: second.nulls,
        3: second.rows,
        4: encoding,
        5: second.definition,
        6: second.repetition,
        7: false,
      },
    }
    : { 1: 0, 2: unpacked, 3: unpacked, 5: { 1: values, 2: encoding, 3: ENCODINGS.runs, 4: ENCODINGS.runs } };
  return { bytes: concat([writeStruct(header), content]), rows, continues };
}

/** Bytes in one piece. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

/** Unpacks at most so many bytes; another number of them is left to the caller. */
function unpack(codec: string, bytes: Uint8Array, size: number): Uint8Array {
  // Each of them takes a bound, so that a small page cannot unpack to more than it says.
  const bound = { maxOutputLength: size };
  // Of nothing but nulls there is nothing to unpack, which Snappy and LZ4 write as a byte that their readers refuse.
  if (size === 0) return new Uint8Array();
  switch (codec) {
    case "UNCOMPRESSED":
      return bytes;
    case "GZIP":
      return gunzipSync(bytes, bound);
    case "ZSTD":
      return zstdDecompressSync(bytes, bound);
    case "BROTLI":
      return brotliDecompressSync(bytes, bound);
    case "SNAPPY": {
      const says = readVarint({ bytes, offset: 0, end: bytes.length });
      if (says !== size) throw new Error(`a page of ${says} bytes should have ${size}`);
      return compressors.SNAPPY!(bytes, size);
    }
    case "LZ4_RAW":
      return compressors.LZ4_RAW!(bytes, size);
    default:
      throw new Error(
        `it is compressed with ${codec}, which is not read; write it with zstd, snappy or gzip`,
      );
  }
}
