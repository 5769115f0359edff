import { dataError, exists, type Label, readCsv, UserError, writeCsv } from "../core/mod.ts";

/** A row that a human is asked about. */
export interface AskedRow {
  readonly id: string;
  readonly question: string;
  readonly target: string;
  readonly answer: string;
  readonly label: Label;
}

/** Columns of a sheet, in which a human fills in the last but one. */
const COLUMNS = ["id", "question", "right_answer", "model_answer", "human", "labels"] as const;

/** What a human may write, and what it says. */
export const HUMAN: ReadonlyMap<string, Label> = new Map<string, Label>([["y", 1], ["n", 0], ["u", null]]);

/** In front of an id, so that no spreadsheet takes it for a number. */
const ID = "row-";

/** Which labels a sheet is about, in few letters that no spreadsheet takes for a number. */
const mark = (hash: string) => `sha256-${hash.slice(0, 16)}`;

/** Writes rows for a human to fill in. @throws {UserError} of kind `usage` if the file is there */
export async function writeSheet(path: string, hash: string, rows: readonly AskedRow[]): Promise<void> {
  if (await exists(path)) {
    throw new UserError({
      kind: "usage",
      what: `${path} is there already, and may hold a human's work`,
      where: "--csv",
      fix: `take it back with --read=${path}, or name another file`,
    });
  }
  await writeCsv(
    path,
    COLUMNS,
    rows.map(({ id, question, target, answer }) => ({
      id: ID + id,
      question: text(question),
      right_answer: text(target),
      model_answer: text(answer),
      human: "",
      labels: mark(hash),
    })),
  );
}

/** A text that a spreadsheet shows and does not compute; a number is left as it is. */
function text(value: string): string {
  return /^[=+\-@\t\r]/.test(value) && !Number.isFinite(Number(value)) ? `'${value}` : value;
}

/**
 * Answers in a sheet, by id; rows that are not filled in are left out.
 *
 * @param asked ids of the rows that are to be judged
 * @throws {UserError} of kind `data` naming the row for anything but what {@linkcode writeSheet} wrote, filled in
 */
export async function readSheet(
  path: string,
  hash: string,
  asked: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Label>> {
  const rows = await readCsv(path, COLUMNS);
  const columns = Object.keys(rows[0] ?? {}), added = columns.find((name) => !COLUMNS.includes(name as "id"));
  if (rows.length === 0) throw dataError("The sheet has no rows", path, "write it again with --csv=<file>");
  if (added !== undefined) {
    throw dataError(`Column "${added}" is not one of the sheet's`, path, `keep ${COLUMNS.join(", ")} only`);
  }
  const answers = new Map<string, Label>(), seen = new Map<string, number>();
  rows.forEach((row, index) => {
    const where = `${path}, row ${index + 1}`, number = index + 1;
    if (row.labels !== mark(hash)) {
      throw dataError(
        `The sheet is about other labels: ${JSON.stringify(row.labels)}, not ${mark(hash)}`,
        where,
        "name the labels it was made from, or write a new sheet with --csv=<file>",
      );
    }
    const id = row.id.startsWith(ID) ? row.id.slice(ID.length) : row.id;
    if (!asked.has(id)) {
      throw dataError(
        `The id ${JSON.stringify(row.id)} is not one that was asked about`,
        where,
        "leave the column id as it was written; rows of one's own choice would not be a random sample",
      );
    }
    if (seen.has(id)) {
      throw dataError(
        `The id ${JSON.stringify(row.id)} stands in row ${seen.get(id)} too`,
        where,
        "keep one of the two rows",
      );
    }
    seen.set(id, number);
    const said = row.human.trim().toLowerCase();
    if (said === "") return;
    if (!HUMAN.has(said)) {
      throw dataError(
        `human is ${JSON.stringify(row.human)}`,
        where,
        "it must be y (correct), n (wrong), u (cannot say) or empty (not judged yet)",
      );
    }
    answers.set(id, HUMAN.get(said)!);
  });
  return answers;
}
