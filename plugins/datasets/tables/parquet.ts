/**
 * Parquet files, some thousand rows at a time: pages are read, unpacked and looked through by us (`pages.ts`), and
 * decoded by hyparquet, which sees a small file in memory that holds them.
 */
import {
  type ColumnChunk,
  type ColumnMetaData,
  type FileMetaData,
  parquetMetadata,
  parquetReadObjects,
  type RowGroup,
  type SchemaElement,
} from "hyparquet";
import { type Leaf, MOST_BYTES, MOST_VALUES } from "./contents.ts";
import { type ByteSource, type Chunk, concat, findPages, unpackPage } from "./pages.ts";
import { readStruct, writeStruct } from "./thrift.ts";

/** A page may be decoded so many times. */
const PARTS_OF_A_PAGE = 32;

/** More rows than this are refused where there are more than so many for each byte of the file. */
const ROWS_FREELY = 1 << 20;
const MOST_ROWS_A_BYTE = 1000;

const BATCH: BatchSize = { rows: 1 << 15, bytes: 1 << 24 };

/** Bytes of the footer, and depth and number of the schema's elements, at most. */
const LONGEST_FOOTER = 1 << 25;
const DEEPEST = 32;
const MOST_ELEMENTS = 10_000;

const MAGIC = [..."PAR1"].map((letter) => letter.charCodeAt(0));

/** A Parquet file, opened. */
export interface ParquetFile {
  /** Names of the outermost columns. */
  readonly columns: readonly string[];
  readonly rows: number;
  /** The rows in batches, each row with the wanted columns only. @throws {Error} if the file is not sound */
  read(columns: readonly string[]): AsyncIterable<Record<string, unknown>[]>;
}

/** What is aimed at for one batch. */
export interface BatchSize {
  readonly rows: number;
  /** As unpacked. */
  readonly bytes: number;
}

/** Reads what a file says of itself. @throws {Error} if it is not sound */
export async function openParquet(source: ByteSource, batch: BatchSize = BATCH): Promise<ParquetFile> {
  const size = source.byteLength;
  if (size < 12) throw new Error(`it has ${size} bytes`);
  if (!isMagic(await source.read(0, 4))) throw new Error("it does not begin with PAR1");
  const tail = await source.read(size - 8, size);
  if (!isMagic(tail.subarray(4))) {
    throw new Error("it does not end with PAR1, so a part of it may be missing");
  }
  const length = new DataView(tail.buffer, tail.byteOffset).getUint32(0, true);
  if (length > Math.min(size - 12, LONGEST_FOOTER)) throw new Error(`its footer has ${length} bytes`);
  const footer = await source.read(size - 8 - length, size);
  // What hyparquet is given is sound in form, so that it can neither loop nor ask for more memory than there is.
  readStruct({ bytes: footer, offset: 0, end: length });
  const metadata = decodable("its footer is damaged", () => parquetMetadata(footer, { geoparquet: false }));
  const leaves = leavesOf(metadata.schema);
  const groups = metadata.row_groups.map((group) => checkGroup(group, leaves, size));
  const columns = childrenOf(metadata.schema), rows = groups.reduce((sum, { rows }) => sum + rows, 0);
  if (rows > ROWS_FREELY && rows > MOST_ROWS_A_BYTE * size) {
    throw new Error(`it has ${rows} rows in ${size} bytes`);
  }
  return {
    columns,
    rows,
    async *read(wanted) {
      for (const group of groups) yield* readGroup(source, metadata, group, wanted, batch);
    },
  };
}

/** What hyparquet makes of bytes that are sound in form; where it fails, it is because they say what cannot be. */
function decodable<T>(otherwise: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Error(otherwise, { cause: error });
  }
}

function isMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, index) => bytes[index] === byte);
}

/** Names of the outermost columns, in order. */
function childrenOf(schema: readonly SchemaElement[]): readonly string[] {
  const names: string[] = [];
  for (let index = 1; index < schema.length; index = skip(schema, index)) names.push(schema[index].name);
  return names;
}

/** Index of the element behind one and all that is in it. */
function skip(schema: readonly SchemaElement[], index: number): number {
  let next = index + 1;
  for (let child = 0; child < (schema[index].num_children ?? 0); child++) next = skip(schema, next);
  return next;
}

/** Columns of single values, in order. @throws {Error} if the schema is no tree */
function leavesOf(schema: readonly SchemaElement[]): readonly Leaf[] {
  if (schema.length < 2 || schema.length > MOST_ELEMENTS) {
    throw new Error(`its schema has ${schema.length} elements`);
  }
  const leaves: Leaf[] = [];
  let next = 0;
  const visit = (above: readonly string[], definition: number, repetition: number) => {
    const depth = above.length;
    if (next >= schema.length) throw new Error("its schema ends too early");
    if (depth > DEEPEST) throw new Error(`its columns lie more than ${DEEPEST} deep in each other`);
    const { name, num_children: count, type, type_length: length = 0, repetition_type: repeats } =
      schema[next++];
    if (typeof name !== "string") throw new Error("its schema has a column without a name");
    const path = next === 1 ? [] : [...above, name];
    const maxDefinition = definition + (next > 1 && repeats !== "REQUIRED" ? 1 : 0);
    const maxRepetition = repetition + (next > 1 && repeats === "REPEATED" ? 1 : 0);
    if (count === undefined || count === 0 && type) {
      if (type === undefined || path.length === 0) throw new Error(`column ${path.join(".")} has no type`);
      if (!Number.isInteger(length) || length < 0 || length > MOST_BYTES) {
        throw new Error(`values of ${length} bytes`);
      }
      leaves.push({ path, type, typeLength: length, maxDefinition, maxRepetition });
      return;
    }
    if (!Number.isInteger(count) || count < 1 || type) {
      throw new Error(`column ${path.join(".")} has ${count} parts`);
    }
    const names = new Set<string>();
    for (let child = 0; child < count; child++) {
      names.add(schema[next]?.name);
      visit(path, maxDefinition, maxRepetition);
    }
    if (names.size < count) throw new Error(`two columns share a name`);
  };
  visit([], 0, 0);
  if (next < schema.length) throw new Error("its schema has elements that belong nowhere");
  return leaves;
}

/** A column's place in a group of rows. */
interface Place {
  readonly leaf: Leaf;
  readonly meta: ColumnMetaData;
  readonly start: number;
  readonly end: number;
  readonly values: number;
}

interface Group {
  readonly rows: number;
  readonly places: readonly Place[];
}

function checkGroup(group: RowGroup, leaves: readonly Leaf[], size: number): Group {
  const rows = count(group.num_rows, "rows");
  if (group.columns.length !== leaves.length) {
    throw new Error(`a group of rows has ${group.columns.length} columns, the schema ${leaves.length}`);
  }
  const places = group.columns.map(({ meta_data: meta, file_path: elsewhere }, index): Place => {
    const leaf = leaves[index], name = leaf.path.join(".");
    if (elsewhere) throw new Error(`column ${name} lies in another file`);
    if (!meta || meta.type !== leaf.type || meta.path_in_schema.join(".") !== name) {
      throw new Error(`a group of rows has another column where the schema has ${name}`);
    }
    const start = count(meta.dictionary_page_offset || meta.data_page_offset, "place of a column");
    const end = start + count(meta.total_compressed_size, "bytes of a column");
    if (start < 4 || end > size - 8) throw new Error(`column ${name} reaches from byte ${start} to ${end}`);
    const values = count(meta.num_values, "values");
    if (leaf.maxRepetition === 0 && values !== rows) {
      throw new Error(`column ${name} has ${values} values for ${rows} rows`);
    }
    return { leaf, meta, start, end, values };
  });
  return { rows, places };
}

function count(value: unknown, what: string): number {
  const number = Number(value);
  if (typeof value === "bigint" && Number.isSafeInteger(number) && number >= 0) return number;
  throw new Error(`its footer says ${value} for the ${what}`);
}

/** A column of a group with its pages, and, where the group is read in parts, the row each page begins with. */
interface Column extends Place {
  readonly chunk: Chunk;
  readonly firstRows?: readonly number[];
}

async function* readGroup(
  source: ByteSource,
  metadata: FileMetaData,
  { rows, places }: Group,
  wanted: readonly string[],
  batch: BatchSize,
): AsyncIterable<Record<string, unknown>[]> {
  if (rows === 0) return;
  const found: (Place & { readonly chunk: Chunk })[] = [];
  for (const place of places.filter(({ leaf }) => wanted.includes(leaf.path[0]))) {
    found.push({ ...place, chunk: await inColumn(place.leaf, () => findPages(source, place.leaf, place)) });
  }
  const bytes = found.flatMap(({ chunk }) => chunk.pages).reduce((sum, { unpacked }) => sum + unpacked, 0);
  // A page is decoded again for each part that it reaches into, so that long pages make long parts.
  const longest = found.flatMap(({ chunk }) => chunk.pages)
    .reduce((most, { values }) => Math.max(most, values), 1);
  const parts = Math.min(
    Math.ceil(Math.max(rows / batch.rows, bytes / batch.bytes)),
    Math.ceil(PARTS_OF_A_PAGE * rows / longest),
  );
  const columns = parts > 1 ? await withFirstRows(source, found, rows) : found;
  if (columns === undefined) {
    yield await decode(source, metadata, found, wanted, rows, 0, rows);
    return;
  }
  for (let part = 0; part < Math.min(parts, rows); part++) {
    const start = Math.floor(rows * part / parts), end = Math.floor(rows * (part + 1) / parts);
    if (start < end) yield await decode(source, metadata, columns, wanted, rows, start, end);
  }
}

/** The row that each page begins with; nothing if one begins within a row, which old writers may do. */
async function withFirstRows(
  source: ByteSource,
  columns: readonly Column[],
  rows: number,
): Promise<readonly Column[] | undefined> {
  const result: Column[] = [];
  for (const column of columns) {
    const { leaf, meta, chunk } = column, firstRows: number[] = [];
    let row = 0;
    for (const page of chunk.pages) {
      firstRows.push(row);
      if (leaf.maxRepetition === 0) row += page.values;
      else if (page.second) row += page.second.rows;
      else {
        // Where rows begin stands in the page itself, whose values are not looked at yet.
        const { rows, continues } = await inColumn(
          leaf,
          () => unpackPage(source, leaf, meta.codec, page, chunk.dictionary?.values),
        );
        if (continues) return undefined;
        row += rows;
      }
    }
    if (row !== rows) {
      throw new Error(`column ${leaf.path.join(".")} has ${row} rows, and should have ${rows}`);
    }
    result.push({ ...column, firstRows });
  }
  return result;
}

async function inColumn<T>(leaf: Leaf, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`column ${leaf.path.join(".")}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

/** Addresses of columns in the file that hyparquet sees lie so far apart that it reads each by itself. */
const APART = 2 ** 32;

/** Decodes the rows from `start` to before `end` of a group with so many rows. */
async function decode(
  source: ByteSource,
  metadata: FileMetaData,
  columns: readonly Column[],
  wanted: readonly string[],
  rows: number,
  start: number,
  end: number,
): Promise<Record<string, unknown>[]> {
  const areas: ArrayBuffer[] = [new ArrayBuffer(0)], chunks: ColumnChunk[] = [];
  const budget = { bytes: MOST_BYTES, values: MOST_VALUES };
  for (const column of columns) {
    const { data, index, pageOffset, hasDictionary } = await inColumn(
      column.leaf,
      () => layOut(source, column, rows, start, end, areas.length * APART, budget),
    );
    const at = areas.length * APART;
    areas.push(data.buffer, index.buffer);
    chunks.push({
      file_offset: 0n,
      meta_data: {
        ...column.meta,
        codec: "UNCOMPRESSED",
        total_compressed_size: BigInt(data.length),
        dictionary_page_offset: hasDictionary ? BigInt(at) : undefined,
        data_page_offset: BigInt(pageOffset),
        statistics: undefined,
      },
      offset_index_offset: BigInt(at + APART),
      offset_index_length: index.length,
    });
  }
  const group: RowGroup = { columns: chunks, num_rows: BigInt(rows), total_byte_size: 0n };
  const decoded = await parquetReadObjects({
    metadata: { ...metadata, num_rows: BigInt(rows), row_groups: [group] },
    file: {
      byteLength: areas.length * APART,
      slice(from, to = from) {
        const area = areas[Math.floor(from / APART)];
        return area.slice(from % APART, from % APART + to - from);
      },
    },
    columns: [...wanted],
    rowStart: start,
    rowEnd: end,
    useOffsetIndex: true,
    // What is not said to be text may be none; the caller finds out.
    utf8: false,
    parsers: { stringFromBytes },
  }).catch((error) => {
    throw new Error(`rows ${start + 1} to ${end} of a group of ${rows} are damaged`, { cause: error });
  });
  if (decoded.length !== end - start) {
    throw new Error(`${decoded.length} rows where ${end - start} should be`);
  }
  return decoded;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function stringFromBytes(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  // Of a short text the call alone takes most of the decoder's time.
  if (bytes.length > 64) return decoder.decode(bytes);
  for (let index = 0; index < bytes.length; index++) if (bytes[index] > 127) return decoder.decode(bytes);
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

/** A column's dictionary and the pages that hold the wanted rows, one behind the other, and an index of the pages. */
async function layOut(
  source: ByteSource,
  { leaf, meta, chunk, firstRows }: Column,
  rows: number,
  start: number,
  end: number,
  at: number,
  budget: { bytes: number; values: number },
) {
  const pieces: Uint8Array<ArrayBuffer>[] = [], locations: { 1: number; 2: number; 3: number }[] = [];
  let size = 0, seen = 0;
  const add = async (page: Chunk["pages"][number]) => {
    budget.bytes -= page.unpacked;
    budget.values -= page.values;
    if (budget.bytes < 0 || budget.values < 0) {
      throw new Error(
        `its pages are too large to read: more than ${MOST_BYTES} bytes or ${MOST_VALUES} values`,
      );
    }
    const unpacked = await unpackPage(source, leaf, meta.codec, page, chunk.dictionary?.values);
    pieces.push(unpacked.bytes);
    size += unpacked.bytes.length;
    seen += unpacked.rows;
    return unpacked.bytes.length;
  };
  if (chunk.dictionary) await add(chunk.dictionary);
  const pageOffset = at + size;
  for (const [index, page] of chunk.pages.entries()) {
    const from = firstRows?.[index] ?? 0, to = firstRows?.[index + 1] ?? rows;
    if (firstRows && (from >= end || to <= start)) continue;
    const offset = at + size, length = await add(page);
    locations.push({ 1: offset, 2: length, 3: from });
  }
  if (!firstRows && seen !== rows) throw new Error(`it has ${seen} rows, and should have ${rows}`);
  return {
    data: concat(pieces),
    index: writeStruct({ 1: locations }),
    pageOffset,
    hasDictionary: chunk.dictionary !== undefined,
  };
}
