/**
 * The functions of `@std/csv` that this project uses, over `csv-parse` and `csv-stringify`, for machines that do not
 * reach JSR. Same names and signatures; `tests/compat_test.ts` holds both to one contract.
 */
import { parse as parseSync } from "csv-parse/sync";
import { stringify as stringifySync } from "csv-stringify/sync";

/** Rows as arrays of fields. */
export function parse(text: string): string[][] {
  return parseSync(text, {
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
    // Left to itself it takes the first line's end for that of all lines.
    record_delimiter: ["\r\n", "\n"],
  });
}

/** CSV text of rows, with a header line of the given columns. Lines end in CRLF, as RFC 4180 has it. */
export function stringify(
  rows: readonly Readonly<Record<string, unknown>>[],
  options: { readonly columns: readonly string[] },
): string {
  return stringifySync([...rows], {
    header: true,
    columns: [...options.columns],
    record_delimiter: "\r\n",
    // Left to itself it quotes only what holds the whole delimiter, and a lone line feed would split the record.
    quoted_match: /[\r\n]/,
  });
}
