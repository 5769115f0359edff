import { parse } from "@std/csv";
import { dataError } from "../../../core/mod.ts";
import type { DataRow } from "./mod.ts";

/** Characters of a row at most. */
const LONGEST_ROW = 1 << 24;

/** Rows of text that belong together, whole. */
interface Batch {
  readonly text: string;
  /** Where each of its rows begins in it, and in which line of the file. */
  readonly starts: readonly number[];
  readonly lines: readonly number[];
}

/** How a file is read. */
export interface CsvOptions {
  /** For messages. */
  readonly name: string;
  /** What stands between fields. */
  readonly separator: "," | "\t";
  /** The wanted columns; all if absent. */
  readonly columns?: readonly string[];
  /** Characters of a row at most. */
  readonly longest?: number;
}

/**
 * Rows of CSV text with a header line, by column name. Lines end in CRLF or LF; whatever else stands in quotes is text,
 * other line separators of Unicode among it. Empty lines are left out.
 *
 * @throws {UserError} of kind `data` naming file and line if the text is not sound
 */
export async function* readCsvRows(
  pieces: AsyncIterable<string>,
  options: CsvOptions,
): AsyncIterable<DataRow> {
  const { name, separator } = options;
  let header: readonly string[] | undefined, wanted: readonly (readonly [string, number])[] = [];
  for await (const batch of batchesOf(pieces, options)) {
    const rows = parseBatch(batch, name, separator);
    for (const [index, fields] of rows.entries()) {
      const where = `${name}, line ${batch.lines[index]}`;
      if (header === undefined) {
        header = fields;
        wanted = columnsOf(header, options);
        continue;
      }
      if (fields.length !== header.length) {
        throw dataError(
          `The row has ${fields.length} fields, the header ${header.length}`,
          where,
          "quote fields that hold a separator or a line end, or repair the row",
        );
      }
      const values: Record<string, unknown> = {};
      for (const [column, place] of wanted) values[column] = fields[place];
      yield { values, where };
    }
  }
  if (header === undefined) {
    throw dataError("The file is empty", name, "it needs a line with the columns' names");
  }
}

/** The columns that the header line names. */
export async function readCsvHeader(
  pieces: AsyncIterable<string>,
  options: CsvOptions,
): Promise<readonly string[]> {
  for await (const batch of batchesOf(pieces, options)) {
    return parseBatch(batch, options.name, options.separator)[0];
  }
  throw emptyFile(options.name);
}

function emptyFile(name: string): Error {
  return dataError("The file is empty", name, "it needs a line with the columns' names");
}

/** Names and places of the wanted columns. */
function columnsOf(
  header: readonly string[],
  { name, columns = header }: CsvOptions,
): readonly (readonly [string, number])[] {
  const twice = header.find((column, index) => header.indexOf(column) !== index);
  if (twice !== undefined) {
    throw dataError(`Two columns are called "${twice}"`, `${name}, line 1`, "rename one of them");
  }
  return columns.map((column) => {
    const place = header.indexOf(column);
    if (place >= 0) return [column, place];
    throw missingColumn(column, header, name);
  });
}

/** The error for a column that a file does not have. */
export function missingColumn(column: string, columns: readonly string[], where: string): Error {
  const some = columns.slice(0, 20).join(", "),
    more = columns.length > 20 ? ` and ${columns.length - 20} more` : "";
  return dataError(`Column "${column}" is missing`, where, `the columns are ${some}${more}`);
}

/** Cuts text between rows: where a line ends and no quote is open. */
async function* batchesOf(
  pieces: AsyncIterable<string>,
  { name, longest = LONGEST_ROW }: CsvOptions,
): AsyncIterable<Batch> {
  let text = "", line = 1;
  const cut = function* (last: boolean): Iterable<Batch> {
    const starts: number[] = [], lines: number[] = [];
    let start = 0, firstLine = line, open = false, quote = text.indexOf('"');
    for (let at = 0; at < text.length;) {
      const found = text.indexOf("\n", at), end = found < 0 ? text.length : found;
      for (; quote >= 0 && quote < end; quote = text.indexOf('"', quote + 1)) open = !open;
      if (found < 0 && (!last || open)) break;
      at = end + 1;
      line++;
      if (open) continue;
      if (!isEmpty(text, start, end)) {
        starts.push(start);
        lines.push(firstLine);
      }
      [start, firstLine] = [at, line];
    }
    // Lines of a row that is not whole yet are counted again with the rest of it.
    line = firstLine;
    if (starts.length > 0) yield { text: text.slice(0, start), starts, lines };
    text = text.slice(start);
    if (text.length > longest || last && open) {
      const what = open
        ? "A quote that is opened here is never closed"
        : `The row has more than ${longest} characters`;
      throw dataError(
        what,
        `${name}, line ${line}`,
        'write a quote inside quotes twice (""), and quote no other field',
      );
    }
  };
  for await (const piece of pieces) {
    const nul = piece.indexOf("\0");
    if (nul >= 0) throw dataError("The file holds a NUL character", name, "save it as CSV text in UTF-8");
    text += piece;
    yield* cut(false);
  }
  yield* cut(true);
}

function isEmpty(text: string, start: number, end: number): boolean {
  return end === start || end === start + 1 && text[start] === "\r";
}

function parseBatch({ text, starts, lines }: Batch, name: string, separator: string): string[][] {
  const bad = (index: number, reason: string, cause?: unknown) =>
    dataError(`Not valid CSV: ${reason}`, `${name}, line ${lines[index]}`, "repair the row", cause);
  try {
    const rows = parse(text, { separator });
    if (rows.length === starts.length) return rows;
  } catch {
    // The row is looked for below.
  }
  return starts.map((start, index) => {
    let rows: string[][];
    try {
      rows = parse(text.slice(start, starts[index + 1]), { separator });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw bad(index, reason.replace(/^.*; /, ""), error);
    }
    if (rows.length !== 1) throw bad(index, "a quote stands where none may be");
    return rows[0];
  });
}
