import { dataError } from "../files.ts";
import { UserError } from "../errors.ts";
import {
  isSameQuestion,
  isStoredRow,
  type Prompt,
  type Question,
  type Split,
  type StoredRow,
} from "../records.ts";
import { createRng } from "../rng.ts";
import type { Dataset, DatasetRequest, PromptStyle } from "../types.ts";
import { checkRow, checkSplit } from "./rows.ts";

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
  /** Draws an order of the choices for each question by itself, whatever stands beside it; as they come if absent. */
  readonly shuffleChoices?: number;
}

/**
 * The rows of a split as prompts. Rows that are prompts already, from an earlier stage's files, stay as they are, and
 * the request's `warn` is told where worked examples were asked for.
 *
 * @throws {UserError} of kind `usage` for a split that is not there, for more worked examples than there are, and for
 * choices to be shuffled that are worded already; `data` for ids that stand twice; `plugin` for rows and prompts that
 * are none
 */
export async function loadPrompts(
  { dataset, request, split, style, kshot, seed, limit = Infinity, shuffleChoices }: PromptRun,
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
  const ordered = (question: Question) =>
    shuffleChoices === undefined ? question : shuffled(question, shuffleChoices);
  const ids = new Set<string>();
  for await (const read of dataset.read!(split, request)) {
    if (rows.length >= limit) break;
    checkRow(read, dataset, split, rows.length);
    checkSplit(read, dataset, split);
    if (ids.has(read.id)) throw repeatedId(read.id, dataset, request, split);
    ids.add(read.id);
    if (isStoredRow(read)) {
      if (shuffleChoices !== undefined) throw wordedAlready(dataset, request);
      if (kshot > 0 && rows.length === 0) {
        request.warn?.(`The questions of ${dataset.name} are worded already: no worked examples are added.`);
      }
      rows.push(read);
    } else {
      const row = ordered(read);
      const rowSeed = seed + (row.home?.row ?? rows.length);
      const pool = kshot > 0 ? await poolOf(row.home?.dataset) : [];
      const shots = drawShots(pool, dataset.ownShots ? undefined : read, kshot, rowSeed).map(ordered);
      const prompt = style.render(row, shots, style.defaults);
      checkPrompt(prompt, row, style);
      rows.push(dataset.synthetic ? { ...prompt, ...proposeAnswer(row, style, rowSeed) } : prompt);
    }
  }
  if (rows.length === 0) {
    throw dataError(
      `The ${split} split has no rows`,
      placeOf(dataset.name, request.argument),
      "check the dataset",
    );
  }
  return rows;
}

const placeOf = (name: string, argument: string) => `dataset ${name}${argument === "" ? "" : `:${argument}`}`;

function repeatedId(id: string, { name }: Dataset, { argument }: DatasetRequest, split: Split): UserError {
  return dataError(
    `Two rows of the ${split} split have the id "${id}"`,
    placeOf(name, argument),
    "give each row its own; where a table has none, leave the field id out of --fields",
  );
}

/** Refuses what is no prompt of the question. */
function checkPrompt(prompt: Prompt, { id, split }: Question, { name }: PromptStyle): void {
  const texts = ["prompt", "context", "targetPrompt", "target"] as const;
  const lacking = texts.find((key) => typeof prompt?.[key] !== "string");
  if (lacking === undefined && prompt.id === id && prompt.split === split) return;
  throw new UserError({
    kind: "plugin",
    what: lacking === undefined
      ? `Prompt style "${name}" gave the prompt of another question`
      : `Prompt style "${name}" gave a prompt without ${lacking}`,
    where: `render() of question ${id}`,
    fix: lacking === undefined
      ? "keep the question's id and split"
      : `give texts as ${texts.join(", ")}; they may be empty`,
  });
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
      where: "--kshot, or --eval-kshot",
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

/** The question with its choices in a random order of its own, the right one with them. */
function shuffled(question: Question, seed: number): Question {
  const { id, choices, answer } = question;
  if (choices === undefined) return question;
  const order = createRng(seed).split(id).permutation(choices.length);
  return {
    ...question,
    choices: order.map((from) => choices[from]),
    answer: typeof answer === "number" ? order.indexOf(answer) : answer,
  };
}

function wordedAlready({ name }: Dataset, { argument }: DatasetRequest): UserError {
  return new UserError({
    kind: "usage",
    what: `The questions of ${name}:${argument} are worded already, so their choices keep their order`,
    where: "--shuffle-choices",
    fix:
      "give it where the questions are answered: deno task generate outputs, or evaluate on the dataset itself",
  });
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
