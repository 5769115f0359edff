import { dataError } from "../files.ts";
import { UserError } from "../errors.ts";
import { isSameQuestion, isStoredRow, type Question, type Split, type StoredRow } from "../records.ts";
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
  /** Row `i` draws its examples, and a synthetic answer, with `seed + i`, as in the research code. */
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
  const pools = new Map<string | undefined, readonly Question[]>();
  const poolOf = async (home: string | undefined) => {
    if (!pools.has(home)) pools.set(home, await shotPool(dataset, request, kshot, home));
    return pools.get(home)!;
  };
  for await (const row of dataset.read!(split, request)) {
    if (rows.length >= limit) break;
    if (isStoredRow(row)) rows.push(row);
    else {
      const rowSeed = seed + (row.home?.row ?? rows.length);
      const pool = kshot > 0 ? await poolOf(row.home?.dataset) : [];
      const shots = drawShots(pool, dataset.ownShots ? undefined : row, kshot, rowSeed);
      const prompt = style.render(row, shots, style.defaults);
      rows.push(dataset.synthetic ? { ...prompt, ...proposeAnswer(row, style, rowSeed) } : prompt);
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
  home: string | undefined,
): Promise<readonly Question[]> {
  const pool = await dataset.shotPool?.(request, home) ?? [];
  if (pool.length < kshot) {
    throw new UserError({
      kind: "usage",
      what: `Dataset "${home ?? dataset.name}" has ${pool.length} worked examples, ${kshot} were asked for`,
      where: "--kshot",
      fix: `ask for at most ${pool.length}`,
    });
  }
  return pool;
}

/** The first `kshot` of a permutation of the pool, without the question itself, under whatever name it is there. */
function drawShots(
  pool: readonly Question[],
  question: Question | undefined,
  kshot: number,
  seed: number,
): Question[] {
  if (kshot === 0) return [];
  const shots: Question[] = [];
  for (const index of createRng(seed).permutation(pool.length)) {
    if (shots.length === kshot) break;
    const shot = pool[index];
    if (question && (shot.id === question.id || isSameQuestion(shot, question))) continue;
    shots.push(shot);
  }
  return shots;
}

/** The right answer or, as often, a wrong choice; both draws begin anew from the seed, as in the research code. */
function proposeAnswer(
  question: Question,
  style: PromptStyle,
  seed: number,
): { output: string; label: 0 | 1 } {
  const { id, choices = [], answer } = question;
  const label = createRng(seed).random() > 0.5 ? 1 : 0;
  const right = typeof answer === "number" ? answer : choices.indexOf(answer);
  const wrong = choices.map((_, index) => index).filter((index) => index !== right);
  if (label === 0 && wrong.length === 0) {
    throw dataError("There is no wrong choice to propose", `question ${id}`, "use a dataset with choices");
  }
  const proposed = label === 1 ? answer : wrong[createRng(seed).pick(wrong.length)];
  const { target } = style.render({ ...question, answer: proposed }, [], style.defaults);
  return { output: target, label };
}
