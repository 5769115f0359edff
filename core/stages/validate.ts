import { UserError } from "../errors.ts";
import { isStoredRow, type Question, questionKey, type Split, type StoredRow } from "../records.ts";
import type { Dataset, DatasetRequest, ProgressSink, PromptStyle } from "../types.ts";
import { checkRow } from "./rows.ts";

/** What to look at. */
export interface ValidationRun {
  /** One with `read`. */
  readonly dataset: Dataset;
  /** Argument, options and place of the dataset. */
  readonly request: DatasetRequest;
  /** The splits to look at. */
  readonly splits: readonly Split[];
  /** In which every question is worded as well; in none, if absent. */
  readonly style?: PromptStyle;
  /** Told of every row of a split; how many there will be is not known. */
  readonly progress?: ProgressSink;
}

/** Something that was found, in how many rows, with some of them. */
export interface Finding {
  /** What it is, in a few words. */
  readonly what: string;
  /** Whether it makes results wrong; else it is only to be known. */
  readonly wrong: boolean;
  /** Rows with it. */
  readonly count: number;
  /** Some of them, in a line each. */
  readonly examples: readonly string[];
}

/** What was found in a split. */
export interface Validation {
  /** The split. */
  readonly split: Split;
  /** Rows that could be read. */
  readonly rows: number;
  /** Nothing, if all is well. */
  readonly findings: readonly Finding[];
}

/** Examples of a finding. */
const SHOWN = 3;

/** Findings that make results wrong, and those that are only to be known. */
const WRONG = {
  unreadable: "cannot be read",
  empty: "an empty text",
  id: "an id that stands twice",
  split: "a row of another split",
  answer: "an answer that names no choice",
  twoRight: "a wrong choice that is equal to the right one",
  contradiction: "a question that stands twice, with different answers",
  leak: "a question that is among the worked examples",
  wording: "cannot be worded",
  none: "no rows",
} as const;
const REMARKS = {
  repeated: "a question that stands twice",
  equalChoices: "two wrong choices that are equal",
  elsewhere: "a question that stands in another split too",
} as const;

type Kind = keyof typeof WRONG | keyof typeof REMARKS;

/**
 * Reads whole splits and looks for what makes results wrong: rows that cannot be read, labels out of range, duplicates,
 * empty texts, questions that would be shown among their own worked examples.
 */
export async function validateDataset(
  { dataset, request, splits, style, progress }: ValidationRun,
): Promise<readonly Validation[]> {
  const pools = new Pools(dataset, request);
  const firstSeen = new Map<string, Place>();
  const results: Validation[] = [];
  for (const split of splits) {
    const findings = new Findings();
    const unreadable = ({ what, where, fix }: UserError) =>
      findings.add("unreadable", `${where}: ${what} (${fix})`);
    const asked: DatasetRequest = { ...request, onUnreadable: unreadable };
    const ids = new Set<string>();
    let rows = 0;
    try {
      for await (const row of dataset.read!(split, asked)) {
        rows++;
        progress?.update(rows, Infinity, split);
        if (!isSound(() => checkRow(row, dataset, split, rows - 1), unreadable)) continue;
        if (ids.has(row.id)) findings.add("id", row.id);
        ids.add(row.id);
        if (row.split !== split) findings.add("split", `${row.id} of ${row.split}`);
        if (isStoredRow(row)) checkStored(row, split, firstSeen, findings);
        else {
          checkQuestion(row, findings);
          checkRepeated(row, split, firstSeen, findings);
          if (await pools.showItself(row, unreadable)) findings.add("leak", describe(row));
          if (style) checkWording(row, style, findings);
        }
      }
    } catch (error) {
      // A file that is damaged ends here, and the other splits are looked at nevertheless.
      unreadable(dataErrorOf(error));
    }
    if (rows === 0) findings.add("none", split);
    results.push({ split, rows, findings: findings.list });
  }
  return results;
}

/** Whether a check passes; what it throws is told. */
function isSound(check: () => void, tell: (error: UserError) => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    tell(error);
    return false;
  }
}

/** Findings by kind. */
class Findings {
  readonly #found = new Map<Kind, { count: number; examples: string[] }>();

  add(kind: Kind, example: string): void {
    const found = this.#found.get(kind) ?? { count: 0, examples: [] };
    this.#found.set(kind, found);
    if (found.count++ < SHOWN) found.examples.push(example);
  }

  get list(): readonly Finding[] {
    const texts: Readonly<Record<Kind, string>> = { ...WRONG, ...REMARKS };
    return Object.entries(texts).flatMap(([kind, what]) => {
      const found = this.#found.get(kind as Kind);
      return found ? [{ what, wrong: kind in WRONG, ...found }] : [];
    });
  }
}

interface Place {
  readonly split: Split;
  readonly id: string;
  readonly answer: string;
}

function checkQuestion(row: Question, findings: Findings): void {
  const { choices, answer, question } = row;
  const texts = [question, ...choices ?? [], ...(typeof answer === "string" ? [answer] : [])];
  if (texts.some((text) => text.trim() === "")) findings.add("empty", describe(row));
  if (typeof answer === "number" && choices?.[answer] === undefined) {
    findings.add("answer", `${describe(row)} has ${choices?.length ?? 0} choices, and answer ${answer}`);
  }
  if (!choices || new Set(choices).size === choices.length) return;
  const right = answerOf(row), same = choices.filter((choice) => choice === right).length;
  findings.add(same > 1 ? "twoRight" : "equalChoices", `${describe(row)}: ${JSON.stringify(choices)}`);
}

function checkStored(
  row: StoredRow,
  split: Split,
  firstSeen: Map<string, Place>,
  findings: Findings,
): void {
  const { id, prompt, context, target, logits } = row;
  // Stored scores need no texts.
  if (logits) return;
  if (context.trim() === "" || target.trim() === "") findings.add("empty", id);
  note(JSON.stringify([prompt, context]), { split, id, answer: target }, firstSeen, findings, context);
}

function checkRepeated(
  row: Question,
  split: Split,
  firstSeen: Map<string, Place>,
  findings: Findings,
): void {
  note(questionKey(row), { split, id: row.id, answer: answerOf(row) }, firstSeen, findings, row.question);
}

/** Compares a question with the first one of the same texts, if this is not it. */
function note(
  key: string,
  place: Place,
  firstSeen: Map<string, Place>,
  findings: Findings,
  text: string,
): void {
  const first = firstSeen.get(key);
  if (first === undefined) {
    firstSeen.set(key, place);
    return;
  }
  const both = `${first.id} and ${place.id}: ${short(text)}`;
  if (first.answer !== place.answer) findings.add("contradiction", both);
  else findings.add(first.split === place.split ? "repeated" : "elsewhere", both);
}

function checkWording(row: Question, style: PromptStyle, findings: Findings): void {
  try {
    style.render(row, [], style.defaults);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    findings.add("wording", `${row.id}: ${error.what}`);
  }
}

/** What worked examples are drawn from, by where a question comes from. */
class Pools {
  readonly #dataset: Dataset;
  readonly #request: DatasetRequest;
  readonly #pools = new Map<string | undefined, ReadonlyMap<string, readonly Question[]>>();

  constructor(dataset: Dataset, request: DatasetRequest) {
    this.#dataset = dataset;
    // What cannot be read is told where it stands.
    this.#request = { ...request, onUnreadable: () => {} };
  }

  /**
   * Whether a question is among the worked examples of its dataset: under another name, in another split; or under its
   * own, where the dataset shows it to itself. Examples that cannot be read are told once, and count as none.
   */
  async showItself(row: Question, unreadable: (error: UserError) => void): Promise<boolean> {
    const home = row.home?.dataset, { ownShots = false } = this.#dataset;
    let pool = this.#pools.get(home);
    if (!pool) {
      let questions: readonly Question[] = [];
      try {
        questions = await this.#dataset.shotPool?.(this.#request, home) ?? [];
      } catch (error) {
        unreadable(dataErrorOf(error));
      }
      this.#pools.set(home, pool = Map.groupBy(questions, questionKey));
    }
    const same = pool.get(questionKey(row)) ?? [];
    return same.some(({ id, split }) => ownShots || id !== row.id && split !== row.split);
  }
}

function answerOf({ answer, choices }: Question): string {
  return typeof answer === "string" ? answer : choices?.[answer] ?? `number ${answer}`;
}

/** What is wrong with data; what is wrong with anything else is thrown on. */
function dataErrorOf(error: unknown): UserError {
  if (error instanceof UserError && error.exitCode === 4) return error;
  throw error;
}

const describe = ({ id, question }: Question) => `${id}: ${short(question)}`;

function short(text: string): string {
  const line = JSON.stringify(text);
  return line.length > 70 ? `${line.slice(0, 69)}…` : line;
}
