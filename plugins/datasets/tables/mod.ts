/** Tables: rows of Parquet, JSON Lines and CSV files, read piece by piece so that a file of any length can be. */
import { dataError, fileError, UserError } from "../../../core/mod.ts";
import { openFile, readTextPieces } from "./bytes.ts";
import { missingColumn, readCsvHeader, readCsvRows } from "./csv.ts";
import { readJsonLines } from "./json_lines.ts";
import { openParquet } from "./parquet.ts";

/** One row and where it stands, for messages. */
export interface DataRow {
  /** Values by column. */
  readonly values: Readonly<Record<string, unknown>>;
  /** File, and line or row from 1. */
  readonly where: string;
}

/** What a table is written in. */
export type TableFormat = "parquet" | "jsonl" | "csv" | "tsv";

/** How a table is read. */
export interface TableOptions {
  /** What it is written in; the ending of its name says if absent. */
  readonly format?: TableFormat;
  /** The wanted columns, of which there are no others in Parquet and CSV then; all if absent. */
  readonly columns?: readonly string[];
  /** What messages call it; its path if absent. */
  readonly name?: string;
}

const ENDINGS: Readonly<Record<string, TableFormat>> = {
  parquet: "parquet",
  jsonl: "jsonl",
  ndjson: "jsonl",
  csv: "csv",
  tsv: "tsv",
};

/** What a table of this name is written in, if its ending says so: `.parquet`, `.jsonl`, `.csv.gz` and the like. */
export function tableFormat(path: string): TableFormat | undefined {
  const [, ending, packed] = /\.([a-z]+)(\.gz|\.zst)?$/.exec(path.toLowerCase()) ?? [];
  const format = Object.hasOwn(ENDINGS, ending ?? "") ? ENDINGS[ending] : undefined;
  return format === "parquet" && packed ? undefined : format;
}

/**
 * The rows of a table, in constant memory.
 *
 * Parquet: compressed with zstd, snappy, gzip, brotli or LZ4; lists and structures become arrays and objects, whole
 * numbers of 64 bits numbers, and what is missing null. JSON Lines and CSV (with a header line): UTF-8, perhaps compressed
 * with gzip or zstd; the values of CSV are texts.
 *
 * @throws {UserError} of kind `data` naming file and place if it is not sound, has not the wanted columns, or would take
 * more memory than a sound file does
 */
export async function* readTable(path: string, options: TableOptions = {}): AsyncIterable<DataRow> {
  try {
    for await (const rows of batchesOf(path, options)) for (const row of rows) yield row;
  } catch (error) {
    throw fileError(error, "read", options.name ?? path);
  }
}

function batchesOf(path: string, options: TableOptions): AsyncIterable<readonly DataRow[]> {
  const { columns, name = path } = options;
  const format = formatOf(path, options);
  if (format === "parquet") return readParquet(path, name, columns);
  const text = readTextPieces(path);
  if (format === "jsonl") return readJsonLines(text, name);
  return readCsvRows(text, { name, columns, separator: SEPARATORS[format] });
}

/**
 * Names of a table's columns; of JSON Lines, those of the first row.
 *
 * @throws {UserError} as {@linkcode readTable}
 */
export async function tableColumns(
  path: string,
  options: Omit<TableOptions, "columns"> = {},
): Promise<readonly string[]> {
  const { name = path } = options;
  const format = formatOf(path, options);
  try {
    if (format === "parquet") {
      using file = await openFile(path);
      return (await sound(name, () => openParquet(file))).columns;
    }
    if (format === "jsonl") {
      for await (const [{ values }] of readJsonLines(readTextPieces(path), name)) return Object.keys(values);
      return [];
    }
    return await readCsvHeader(readTextPieces(path), { name, separator: SEPARATORS[format] });
  } catch (error) {
    throw fileError(error, "read", name);
  }
}

const SEPARATORS = { csv: ",", tsv: "\t" } as const;

function formatOf(path: string, { format = tableFormat(path), name = path }: TableOptions): TableFormat {
  if (format !== undefined) return format;
  throw dataError(
    "It is not known what the file is written in",
    name,
    "name it .parquet, .jsonl, .csv or .tsv",
  );
}

async function* readParquet(
  path: string,
  name: string,
  columns?: readonly string[],
): AsyncIterable<readonly DataRow[]> {
  using file = await openFile(path);
  const parquet = await sound(name, () => openParquet(file));
  const missing = columns?.find((column) => !parquet.columns.includes(column));
  if (missing !== undefined) throw missingColumn(missing, parquet.columns, name);
  const batches = parquet.read(columns ?? parquet.columns)[Symbol.asyncIterator]();
  let row = 0;
  const next = async (): Promise<DataRow[] | undefined> => {
    const { done, value } = await batches.next();
    if (done) return undefined;
    return value.map((values) => {
      const where = `${name}, row ${++row}`;
      return { values: plain(values, where) as DataRow["values"], where };
    });
  };
  for (let rows = await sound(name, next); rows; rows = await sound(name, next)) yield rows;
}

/** Work on a Parquet file; whatever it throws says that the file is not sound. */
async function sound<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(`Not a readable Parquet file: ${reason}`, name, "download it or write it again", error);
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** The same in values of JSON and dates, where that can be. @throws {UserError} of kind `data` for a number too large */
function plain(value: unknown, where: string): unknown {
  if (value === undefined) return null;
  if (typeof value === "bigint") {
    if (Number.isSafeInteger(Number(value))) return Number(value);
    throw dataError(`The number ${value} is too large`, where, "store it as a text");
  }
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => plain(item, where));
  if (value instanceof Uint8Array) {
    try {
      return decoder.decode(value);
    } catch {
      return value;
    }
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const result: Record<string, unknown> = {};
  for (const name in value) result[name] = plain((value as Record<string, unknown>)[name], where);
  return result;
}
