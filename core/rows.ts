/** The CSV files that join the stages, with the research code's columns. */
import { createHash } from "node:crypto";
import { readCsv, writeCsv } from "./csv.ts";
import { dataError } from "./files.ts";
import type { Label, Labeled, Split, StoredRow } from "./records.ts";

/** Columns of `outputs/<split>/rows_<rank>.csv` and `labels/<split>/<rank>.csv`. */
export const ROW_COLUMNS = ["context", "target", "target_prompt", "prompt", "output", "query_label"] as const;

/** Value of `query_label` before a labeler has seen the row. */
const UNLABELED = "-1";

/** A further column, where rows have groups. */
const GROUP = "group";

/**
 * Writes answers; those without a label get −1, undecided ones an empty field. Where a row has a group, there is a last
 * column `group` more.
 */
export async function writeRows(
  path: string,
  rows: readonly (StoredRow & { output: string })[],
): Promise<void> {
  const grouped = rows.some(({ group }) => group !== undefined);
  await writeCsv(
    path,
    grouped ? [...ROW_COLUMNS, GROUP] : ROW_COLUMNS,
    rows.map(({ context, target, targetPrompt, prompt, output, label, group }) => ({
      context,
      target,
      target_prompt: targetPrompt,
      prompt,
      output,
      query_label: label === undefined ? UNLABELED : label === null ? "" : String(label),
      ...(grouped ? { [GROUP]: group ?? "" } : {}),
    })),
  );
}

/** Reads the rows of one file. Ids are made of the texts, as the columns hold none. */
export async function readRows(path: string, split: Split): Promise<StoredRow[]> {
  const seen = new Map<string, number>();
  const rows = await readCsv(path, ["context", "target", "target_prompt"]);
  return rows.map((row, index) => {
    const { context, target, target_prompt: targetPrompt, prompt = "", output, query_label: label } = row;
    const texts = { prompt, context, targetPrompt, target };
    const hash = createHash("sha256").update(JSON.stringify(Object.values(texts))).digest("hex").slice(0, 16);
    const repeat = seen.get(hash) ?? 0;
    seen.set(hash, repeat + 1);
    return {
      id: repeat === 0 ? hash : `${hash}-${repeat}`,
      split,
      ...(row[GROUP] ? { group: row[GROUP] } : {}),
      ...texts,
      ...(output === undefined ? {} : { output }),
      ...parseLabel(label, `${path}, row ${index + 1}`),
    };
  });
}

/** Whether a stored row has been answered and labelled. */
export function isLabeled(row: StoredRow): row is Labeled {
  return row.output !== undefined && row.label !== undefined;
}

function parseLabel(text: string | undefined, where: string): { label?: Label } {
  switch (text?.trim()) {
    case undefined:
    case UNLABELED:
      return {};
    case "":
      return { label: null };
    case "0":
      return { label: 0 };
    case "1":
      return { label: 1 };
    default:
      throw dataError(`query_label is ${JSON.stringify(text)}`, where, "it must be 0, 1, -1 or empty");
  }
}
