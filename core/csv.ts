/** Reading and writing CSV files, with errors that name the line. */
import { parse, stringify } from "@std/csv";
import { dataError, readText, writeFileAtomic } from "./files.ts";

/**
 * Rows of a CSV file with a header line, by column name.
 *
 * @param required columns that must be there
 * @throws {UserError} of kind `data` naming file and row if the file is not sound
 */
export async function readCsv(
  path: string,
  required: readonly string[],
): Promise<readonly Readonly<Record<string, string>>[]> {
  const text = await readText(path);
  const bad = (what: string, where: string, cause?: unknown) =>
    dataError(what, where, "repair the file, or write it again with the command that made it", cause);
  const nul = text.indexOf("\0");
  if (nul >= 0) {
    throw bad("The file holds a NUL character", `${path}:${text.slice(0, nul).split("\n").length}`);
  }
  let rows: string[][];
  try {
    rows = parse(text) as string[][];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw bad(`Not valid CSV: ${reason}`, path, error);
  }
  const [header, ...body] = rows;
  if (header === undefined) throw bad("The file is empty", path);
  const missing = required.filter((name) => !header.includes(name));
  if (missing.length > 0) {
    throw bad(
      `Column "${missing[0]}" is missing; there are ${header.map((name) => `"${name}"`).join(", ")}`,
      path,
    );
  }
  return body.map((fields, index) => {
    if (fields.length !== header.length) {
      throw bad(
        `Row ${index + 1} has ${fields.length} fields, the header ${header.length}`,
        `${path}, row ${index + 1}`,
      );
    }
    return Object.fromEntries(header.map((name, column) => [name, fields[column]]));
  });
}

/**
 * Writes rows with a header line, whole or not at all. Fields are written as they are, formulas too; but for NUL
 * characters, with which hardly any program reads CSV: U+FFFD takes their place.
 */
export async function writeCsv(
  path: string,
  columns: readonly string[],
  rows: readonly Readonly<Record<string, string | number>>[],
): Promise<void> {
  const text = stringify(rows as Record<string, string | number>[], { columns: [...columns] });
  await writeFileAtomic(path, text.replaceAll("\0", "\ufffd"));
}
