/** A table whose rows are dealt to the splits by shares, as in `--fields=…,split=80/10/10`. */
import { createHash } from "node:crypto";
import { type Split, UserError } from "../../core/mod.ts";

/** Percent of the rows that are for training, validation and test. */
export type SplitShares = readonly [train: number, validation: number, test: number];

/** The shares that a text such as `80/10/10` gives; undefined for a column's name. */
export function sharesIn(text: string): SplitShares | undefined {
  const [, ...found] = /^(\d+)\/(\d+)\/(\d+)$/.exec(text) ?? [];
  if (found.length === 0) return undefined;
  const [train, validation, test] = found.map(Number);
  if (train + validation + test === 100) return [train, validation, test];
  throw new UserError({
    kind: "usage",
    what: `The shares ${text} come to ${train + validation + test} percent`,
    where: "--fields, split",
    fix: "give those of train, validation and test, 100 in all, as in split=80/10/10",
  });
}

/** The split that a value is dealt to: by a hash, so that it stays there whatever else a table holds. */
export function dealt(value: unknown, [train, validation]: SplitShares): Split {
  const hash = createHash("sha256").update(JSON.stringify(value)).digest().readUInt32BE();
  const percent = 100 * hash / 2 ** 32;
  return percent < train ? "train" : percent < train + validation ? "validation" : "test";
}
