import { dataError } from "../../../core/mod.ts";
import type { DataRow } from "./mod.ts";

/** Characters of a line at most. */
const LONGEST_LINE = 1 << 24;

/**
 * Rows of a text with one JSON object a line, in batches; empty lines are left out.
 *
 * @param name of the file, for messages
 * @throws {UserError} of kind `data` naming file and line if the text is not sound
 */
export async function* readJsonLines(
  pieces: AsyncIterable<string>,
  name: string,
  longest = LONGEST_LINE,
): AsyncIterable<DataRow[]> {
  let number = 0;
  for await (const lines of linesOf(pieces, name, longest)) {
    const rows: DataRow[] = [];
    for (const line of lines) {
      number++;
      if (line.trim() === "") continue;
      const where = `${name}, line ${number}`;
      let values: unknown;
      try {
        values = JSON.parse(line);
      } catch (error) {
        throw dataError("Not a line of JSON", where, "write one JSON object a line", error);
      }
      if (typeof values !== "object" || values === null || Array.isArray(values)) {
        throw dataError("The line is not a JSON object", where, "write one JSON object a line");
      }
      rows.push({ values: values as Record<string, unknown>, where });
    }
    if (rows.length > 0) yield rows;
  }
}

/** The lines of each piece, the last of which may be whole only with the next. */
async function* linesOf(
  pieces: AsyncIterable<string>,
  name: string,
  longest: number,
): AsyncIterable<string[]> {
  let parts: string[] = [], length = 0, number = 1;
  for await (const piece of pieces) {
    const lines = piece.split("\n");
    if (lines.length > 1) {
      lines[0] = [...parts, lines[0]].join("");
      number += lines.length - 1;
      [parts, length] = [[], 0];
    }
    parts.push(lines.pop()!);
    length += parts.at(-1)!.length;
    if (length > longest) {
      const what = `The line has more than ${longest} characters`;
      throw dataError(what, `${name}, line ${number}`, "write one JSON object a line");
    }
    if (lines.length > 0) yield lines;
  }
  if (length > 0) yield [parts.join("")];
}
