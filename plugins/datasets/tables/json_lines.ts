import { dataError } from "../../../core/mod.ts";
import type { DataRow } from "./mod.ts";

/** Characters of a line at most. */
const LONGEST_LINE = 1 << 24;

/** Rows of a text with one JSON object a line; empty lines are left out. @param name of the file, for messages */
export async function* readJsonLines(
  pieces: AsyncIterable<string>,
  name: string,
  longest = LONGEST_LINE,
): AsyncIterable<DataRow> {
  let number = 0;
  for await (const line of linesOf(pieces, name, longest)) {
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
    yield { values: values as Record<string, unknown>, where };
  }
}

async function* linesOf(pieces: AsyncIterable<string>, name: string, longest: number): AsyncIterable<string> {
  let parts: string[] = [], length = 0, number = 1;
  for await (const piece of pieces) {
    let start = 0;
    for (let end = piece.indexOf("\n"); end >= 0; end = piece.indexOf("\n", start)) {
      yield parts.join("") + piece.slice(start, end);
      [parts, length, start] = [[], 0, end + 1];
      number++;
    }
    parts.push(piece.slice(start));
    length += piece.length - start;
    if (length > longest) {
      const what = `The line has more than ${longest} characters`;
      throw dataError(what, `${name}, line ${number}`, "write one JSON object a line");
    }
  }
  if (length > 0) yield parts.join("");
}
