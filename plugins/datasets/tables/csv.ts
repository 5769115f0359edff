/**
 * CSV as RFC 4180 has it, read piece by piece. Libraries were left aside: those that stream have no bound on a row, and
 * they change line ends within quotes or lose the lines that messages name.
 */
import { dataError } from "../../../core/mod.ts";
import type { DataRow } from "./mod.ts";

/** Characters of a row at most. */
const LONGEST_ROW = 1 << 24;

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

/** The fields of a row, and the line it begins in. */
interface Row {
  readonly fields: readonly string[];
  readonly line: number;
}

/**
 * Rows of CSV text with a header line, by column name, in batches. Lines end in CRLF or LF; whatever else stands in
 * quotes is text, other line separators of Unicode among it. Empty lines are left out.
 *
 * @throws {UserError} of kind `data` naming file and line if the text is not sound
 */
export async function* readCsvRows(
  pieces: AsyncIterable<string>,
  options: CsvOptions,
): AsyncIterable<DataRow[]> {
  const { name } = options;
  let header: readonly string[] | undefined, wanted: readonly (readonly [string, number])[] = [];
  for await (const rows of rowsOf(pieces, options)) {
    const batch: DataRow[] = [];
    for (const { fields, line } of rows) {
      if (header === undefined) {
        header = namesIn(fields);
        wanted = placesOf(header, options);
        continue;
      }
      const where = `${name}, line ${line}`;
      if (fields.length !== header.length) {
        throw dataError(
          `The row has ${fields.length} fields, the header ${header.length}`,
          where,
          "quote fields that hold a separator or a line end, or repair the row",
        );
      }
      const values: Record<string, unknown> = {};
      for (const [column, place] of wanted) values[column] = fields[place];
      batch.push({ values, where });
    }
    yield batch;
  }
  if (header === undefined) throw emptyFile(name);
}

/** The columns that the header line names. */
export async function readCsvHeader(
  pieces: AsyncIterable<string>,
  options: CsvOptions,
): Promise<readonly string[]> {
  for await (const [first] of rowsOf(pieces, options)) return namesIn(first.fields);
  throw emptyFile(options.name);
}

/** The names in a header line, where a blank often follows the comma. */
const namesIn = (fields: readonly string[]) => fields.map((name) => name.trim());

function emptyFile(name: string): Error {
  return dataError("The file is empty", name, "it needs a line with the columns' names");
}

/** Names and places of the wanted columns. */
function placesOf(
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
  const some = columns.slice(0, 20).join(", ");
  const more = columns.length > 20 ? ` and ${columns.length - 20} more` : "";
  return dataError(`Column "${column}" is missing`, where, `the columns are ${some}${more}`);
}

/** The rows of each piece, the last of which may be whole only with the next. */
async function* rowsOf(
  pieces: AsyncIterable<string>,
  { name, separator, longest = LONGEST_ROW }: CsvOptions,
): AsyncIterable<Row[]> {
  let text = "", line = 1;
  const take = (last: boolean): Row[] => {
    const rows: Row[] = [];
    // A row ends where a line does and no quote is open: a quote within quotes is written twice.
    let start = 0, firstLine = line, open = false, quote = text.indexOf('"'), quoted = false;
    for (let at = 0; at < text.length;) {
      const found = text.indexOf("\n", at), end = found < 0 ? text.length : found;
      for (; quote >= 0 && quote < end; quote = text.indexOf('"', quote + 1)) [open, quoted] = [!open, true];
      if (found < 0 && (!last || open)) break;
      at = end + 1;
      line++;
      if (open) continue;
      const stop = end > start && text[end - 1] === "\r" ? end - 1 : end;
      if (stop > start) {
        const fields = fieldsOf(text, start, stop, separator, quoted);
        if (typeof fields === "string") {
          throw dataError(fields, `${name}, line ${firstLine}`, "repair the row");
        }
        rows.push({ fields, line: firstLine });
      }
      [start, firstLine, quoted] = [at, line, false];
    }
    // Lines of a row that is not whole yet are counted again with the rest of it.
    line = firstLine;
    text = text.slice(start);
    if (text.length > longest || last && open) {
      const what = open
        ? "A quote that is opened here is never closed"
        : `The row has more than ${longest} characters`;
      const fix = 'write a quote inside quotes twice (""), and quote no other field';
      throw dataError(what, `${name}, line ${line}`, fix);
    }
    return rows;
  };
  for await (const piece of pieces) {
    if (piece.includes("\0")) {
      throw dataError("The file holds a NUL character", name, "save it as CSV text in UTF-8");
    }
    text += piece;
    const rows = take(false);
    if (rows.length > 0) yield rows;
  }
  const rows = take(true);
  if (rows.length > 0) yield rows;
}

/** The fields between two places of a text, or what is wrong with them; `quoted` says whether a quote is among them. */
function fieldsOf(
  text: string,
  start: number,
  end: number,
  separator: string,
  quoted: boolean,
): readonly string[] | string {
  const fields: string[] = [];
  for (let at = start;;) {
    let next: number;
    if (quoted && text[at] === '"') {
      let close = text.indexOf('"', at + 1), twice = false;
      for (; text[close + 1] === '"'; close = text.indexOf('"', close + 2)) twice = true;
      const field = text.slice(at + 1, close);
      fields.push(twice ? field.replaceAll('""', '"') : field);
      next = close + 1;
      if (next < end && text[next] !== separator) return "A field goes on behind its closing quote";
    } else {
      const found = text.indexOf(separator, at);
      next = found < 0 || found > end ? end : found;
      const field = text.slice(at, next);
      if (quoted && field.includes('"')) return "A quote stands in a field that does not begin with one";
      fields.push(field);
    }
    if (next >= end) return fields;
    at = next + 1;
  }
}
