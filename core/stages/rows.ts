/** What a dataset yields, before anything is made of it: a plugin may yield what is no row. */
import { UserError } from "../errors.ts";
import { isStoredRow, type Question, type Split, type StoredRow } from "../records.ts";
import type { Dataset } from "../types.ts";

/** Refuses what has not the form of a row. @throws {UserError} of kind `plugin` */
export function checkRow(row: Question | StoredRow, { name }: Dataset, split: Split, index: number): void {
  const refuse = (what: string, fix: string) => {
    const where = `row ${index + 1} of the ${split} split`;
    return new UserError({ kind: "plugin", what: `Dataset "${name}" gave ${what}`, where, fix });
  };
  if (typeof row !== "object" || row === null || typeof row.id !== "string") {
    throw refuse(`a row without an id: ${JSON.stringify(row)}`, "give each row a text of its own as id");
  }
  if (isStoredRow(row)) return;
  const { question, answer, choices } = row as Partial<Question>;
  if (typeof question !== "string") throw refuse("a row without a question", "give it a text as question");
  if (typeof answer !== "string" && typeof answer !== "number") {
    throw refuse("a row without an answer", "give it a text, or the index of a choice, as answer");
  }
  if (choices === undefined) return;
  if (!Array.isArray(choices) || choices.some((text) => typeof text !== "string")) {
    throw refuse("choices that are no list of texts", "give texts, or leave choices out");
  }
}

/** Refuses a row of another split, which would be learnt from and measured. @throws {UserError} of kind `plugin` */
export function checkSplit(row: Question | StoredRow, { name }: Dataset, split: Split): void {
  if (row.split === split) return;
  throw new UserError({
    kind: "plugin",
    what: `Dataset "${name}" gave a row of the ${row.split} split`,
    where: `row ${row.id}, asked for the ${split} split`,
    fix: `yield rows of the ${split} split alone, with split: "${split}"`,
  });
}
