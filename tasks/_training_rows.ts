/** The labelled rows that a method is trained and calibrated on. */
import {
  dataError,
  isLabeled,
  type Json,
  type Labeled,
  loadPrompts,
  type Split,
  UserError,
} from "../core/mod.ts";
import { chooseStyle, type ChosenDataset } from "./_common.ts";
import { note } from "./_io.ts";
import type { Session } from "./_session.ts";

/** The flags that say which rows are read. */
interface RowFlags {
  readonly "limit"?: number;
  readonly "seed": number;
  readonly "prompt-style"?: string;
}

/**
 * Rows to look at while training; none where the dataset has no validation split.
 *
 * @param needed whether something is to be fitted on them
 */
export async function validationRows(
  session: Session,
  chosen: ChosenDataset,
  flags: RowFlags,
  needed: boolean,
): Promise<readonly Labeled[]> {
  const { dataset, request } = chosen;
  const splits = await dataset.available?.(request) ?? dataset.splits;
  const rows = splits.includes("validation") ? await labeledRows(session, chosen, "validation", flags) : [];
  if (rows.some(({ label }) => label !== null)) return rows;
  if (needed) {
    throw dataError(
      "There is no labelled validation row to fit a calibrator on",
      `${chosen.name}, needed for --scale-temp`,
      "label a validation split, or leave --scale-temp out",
    );
  }
  note("There is no labelled validation row: the training is not looked at from outside.");
  return rows;
}

/** Refuses rows that no calibrator can be fitted to, before something is trained for it. */
export function checkFittable(rows: readonly Labeled[], { name }: ChosenDataset): void {
  const decided = rows.filter(({ label }) => label !== null),
    labels = new Set(decided.map(({ label }) => label));
  if (labels.size === 2) return;
  throw dataError(
    `All ${decided.length} validation rows are labelled ${[...labels][0]}`,
    `${name}, needed for --scale-temp`,
    "label more validation rows, or leave --scale-temp out",
  );
}

/** Rows that an earlier stage labelled, or those of a dataset that makes up answers and labels. */
export async function labeledRows(
  session: Session,
  chosen: ChosenDataset,
  split: Split,
  flags: RowFlags,
): Promise<Labeled[]> {
  const { limit = Infinity, seed, "prompt-style": style } = flags, { dataset, request } = chosen;
  const rows: Labeled[] = [];
  const source = dataset.synthetic
    ? await loadPrompts({
      dataset,
      request,
      split,
      style: chooseStyle(session, style ?? ""),
      kshot: 0,
      seed,
      limit,
    })
    : dataset.read!(split, request);
  for await (const row of source) {
    if (rows.length >= limit) break;
    if (!("context" in row) || !isLabeled(row)) {
      throw dataError(
        `A ${split} row of ${chosen.name} has no ${"output" in row ? "label" : "answer"}`,
        `row ${row.id}`,
        "train on what deno task generate labels has written, as in --dataset=offline:<run>/labels",
      );
    }
    rows.push(row);
  }
  if (rows.length === 0 && split === "train") {
    throw dataError(`The ${split} split has no rows`, chosen.name, "label some answers first");
  }
  return rows;
}

/** The prompt style in which a dataset that makes up answers is worded. */
export function wordingOf(
  session: Session,
  { name }: ChosenDataset,
  { "prompt-style": style }: RowFlags,
): Json {
  if (style !== undefined) return session.describe(chooseStyle(session, style));
  throw new UserError({
    kind: "usage",
    what: `${name} holds questions that have to be worded`,
    where: "--prompt-style",
    fix: "give --prompt-style=oe or choice",
  });
}
