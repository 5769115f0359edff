import { dataError } from "../files.ts";
import { UserError } from "../errors.ts";
import { isStoredRow, type Question, type Split, type StoredRow } from "../records.ts";
import { createRng } from "../rng.ts";
import type { Dataset, DatasetRequest, PromptStyle } from "../types.ts";

/** What to read and how to word it. */
export interface PromptRun {
  /** One with `read`; a collection is expanded before. */
  readonly dataset: Dataset;
  /** Argument, options and place of the dataset. */
  readonly request: DatasetRequest;
  /** The rows wanted. */
  readonly split: Split;
  /** Words questions; rows that are prompts already pass it by. */
  readonly style: PromptStyle;
  /** Worked examples in front of each question. */
  readonly kshot: number;
  /** Row `i` draws its examples with `seed + i`, as in the research code. */
  readonly seed: number;
  /** Rows to read at most; all if absent. */
  readonly limit?: number;
}

/** The rows of a split as prompts. Rows that are prompts already, from an earlier stage's files, stay as they are. */
export async function loadPrompts(
  { dataset, request, split, style, kshot, seed, limit = Infinity }: PromptRun,
): Promise<StoredRow[]> {
  if (!dataset.splits.includes(split)) {
    throw new UserError({
      kind: "usage",
      what: `Dataset "${dataset.name}" has no ${split} split`,
      where: `--dataset=${dataset.name}`,
      fix: `use one of its splits: ${dataset.splits.join(", ")}`,
    });
  }
  const rows: StoredRow[] = [];
  let pool: readonly Question[] | undefined;
  for await (const row of dataset.read!(split, request)) {
    if (rows.length >= limit) break;
    if (isStoredRow(row)) rows.push(row);
    else {
      if (kshot > 0) pool ??= await shotPool(dataset, request, kshot);
      const shots = drawShots(pool ?? [], dataset.ownShots ? undefined : row, kshot, seed + rows.length);
      rows.push(style.render(row, shots, style.defaults));
    }
  }
  if (rows.length === 0) {
    throw dataError(
      `The ${split} split has no rows`,
      `dataset ${dataset.name}:${request.argument}`,
      "check the dataset",
    );
  }
  return rows;
}

async function shotPool(
  dataset: Dataset,
  request: DatasetRequest,
  kshot: number,
): Promise<readonly Question[]> {
  const pool = await dataset.shotPool?.(request) ?? [];
  if (pool.length < kshot) {
    throw new UserError({
      kind: "usage",
      what: `Dataset "${dataset.name}" has ${pool.length} worked examples, ${kshot} were asked for`,
      where: "--kshot",
      fix: `ask for at most ${pool.length}`,
    });
  }
  return pool;
}

/** The first `kshot` of a permutation of the pool, without the question itself. */
function drawShots(
  pool: readonly Question[],
  question: Question | undefined,
  kshot: number,
  seed: number,
): Question[] {
  if (kshot === 0) return [];
  const order = createRng(seed).permutation(pool.length).map((index) => pool[index]);
  return order.filter(({ id }) => id !== question?.id).slice(0, kshot);
}
