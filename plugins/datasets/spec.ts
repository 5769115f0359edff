/**
 * Question datasets as data: where the rows lie, which columns mean what, and how the question is worded. Adding one
 * is a page of data and no code.
 */
import {
  createRng,
  dataError,
  type Dataset,
  type DatasetRequest,
  hashFile,
  type Question,
  type Split,
  type StyleWording,
} from "../../core/mod.ts";
import { findManual, type ManualFile, missingManual, readManual } from "./manual.ts";
import { type DataRow, findLocal, readSource, sourceRevision } from "./source.ts";
import { readOrTell } from "./unreadable.ts";

/** In what every dataset differs from what the research code renders. */
export const COMMON_MEND = "a question never stands among its own worked examples";

/** Options of a question are permuted with this seed plus the row's number, whatever the run's own seed is. */
const SHUFFLE_SEED = 137;

/** How a column names the right answer. */
export type AnswerForm =
  /** Number of the choice, from 0; a text of digits will do. */
  | "index"
  /** Number of the choice, from 1. */
  | "number"
  /** A, B, … or the number of the choice from 1. */
  | "letter"
  /** False is the first choice, true the second. */
  | "boolean"
  /** A list with a 1 at the right choice. */
  | "one-hot"
  /** The answer itself; there are no choices. */
  | "text";

/** Which columns mean what; `a.b` is column `b` of the structure in column `a`. */
export interface Fields {
  /** Column of the question. */
  readonly question: string;
  /** Column of the text it is about. */
  readonly passage?: string;
  /** Columns of further texts, by the names that the wording has for them. */
  readonly texts?: Readonly<Record<string, string>>;
  /** One column that holds a list, or one for each choice; the literal choices behind `=`. */
  readonly choices?: string | readonly string[];
  /** The column of the right answer. */
  readonly answer: { readonly column: string; readonly form: AnswerForm };
}

/** What a row says, by {@linkcode Fields} or by a function where columns alone do not tell. */
export type Asked = Pick<Question, "question" | "passage" | "texts" | "choices" | "answer">;

/** A dataset of questions. */
export interface DatasetSpec {
  /** As users type it. */
  readonly name: string;
  /** One line for lists and help. */
  readonly description: string;
  /** Where to read about it. */
  readonly home: string;
  /** As its home states it; "unknown" where that is not clear. */
  readonly licence: string;
  /** Rows of each split as published, before any are left out. */
  readonly rows?: Readonly<Partial<Record<Split, number>>>;
  /** Repository on the Hugging Face Hub, and its configuration if it has several. */
  readonly source: { readonly repo: string; readonly config?: string };
  /** The file that is put here by hand, of a dataset that the Hub does not give out; it holds the only split. */
  readonly manual?: ManualFile;
  /** The source's own name of each split it has with labels. */
  readonly splits: Readonly<Partial<Record<Split, string>>>;
  /** The source's split that worked examples are drawn from. */
  readonly shots: string;
  /** Whether it is a benchmark that must not be trained on. */
  readonly evalOnly?: boolean;
  /** Number of worked examples when the user names none; 0 if absent. */
  readonly evalKshot?: number;
  /** Tokens an answer may take when the user names no limit; the prompt style's own if absent. */
  readonly maxNewTokens?: number;
  /** Prompt styles it can be worded in; both if absent. */
  readonly styles?: readonly string[];
  /** Which columns mean what, or a function that reads a row. */
  readonly fields: Fields | ((row: DataRow) => Asked);
  /** Rows that are left out: unlabelled ones, by the value of a column. */
  readonly keep?: { readonly column: string; readonly values: readonly unknown[] };
  /** Whether rows two of whose choices are equal are left out. */
  readonly distinctChoices?: boolean;
  /** Whether choices are permuted, each row with a seed of its own. */
  readonly shuffled?: boolean;
  /** The group that all its questions belong to, if they do. */
  readonly group?: string;
  /** Its own words, by the name of the prompt style. */
  readonly wording: Readonly<Record<string, StyleWording>>;
  /** In what it differs from what the research code renders, in a few words each; see also {@linkcode COMMON_MEND}. */
  readonly mends?: readonly string[];
  /** What the research code does otherwise; kept as `<name>@seed`, because its adapters were trained on it. */
  readonly seed?: Partial<Omit<DatasetSpec, "name" | "seed">>;
}

/** The dataset that a page of data describes. */
export function questionDataset(spec: DatasetSpec): Dataset {
  return datasetOf(spec, spec.name, false);
}

/** The same as the research code renders it, mistakes and all: `<name>@seed`. */
export function seedDataset(spec: DatasetSpec): Dataset {
  const { seed = {} } = spec;
  return datasetOf({ ...spec, ...seed }, `${spec.name}@seed`, true);
}

function datasetOf(spec: DatasetSpec, name: string, ownShots: boolean): Dataset {
  const splits = Object.keys(spec.splits) as Split[];
  return {
    kind: "dataset",
    name,
    version: 1,
    description: ownShots ? `${spec.name}, exactly as the research code renders it` : spec.description,
    defaults: {},
    tags: spec.evalOnly ? ["eval"] : ["train", "eval"],
    splits,
    home: spec.home,
    licence: spec.licence,
    rows: spec.rows,
    mends: ownShots ? undefined : [COMMON_MEND, ...spec.mends ?? []],
    evalKshot: spec.evalKshot,
    maxNewTokens: spec.maxNewTokens,
    // The research code may show a question among its own worked examples.
    ownShots,
    read: (split, request) => questions(spec, spec.splits[split]!, split, request),
    async shotPool(request) {
      const pool: Question[] = [];
      const split = splits.find((ours) => spec.splits[ours] === spec.shots) ?? "train";
      for await (const question of questions(spec, spec.shots, split, request)) pool.push(question);
      return pool;
    },
    async revision(request) {
      const path = spec.manual && await findManual(spec.manual, request);
      if (path !== undefined) return `${spec.shots}:${await hashFile(path)}`;
      await checkHere(spec, request);
      return await sourceRevision(spec, splits.map((split) => spec.splits[split]!), request);
    },
  };
}

async function* questions(
  spec: DatasetSpec,
  from: string,
  split: Split,
  request: DatasetRequest,
): AsyncIterable<Question> {
  const { styles } = spec;
  if (styles && request.promptStyle && !styles.includes(request.promptStyle)) {
    throw dataError(
      `${spec.name} has no answers to choose from`,
      `--dataset=${spec.name} --prompt-style=${request.promptStyle}`,
      `use --prompt-style=${styles.join(" or ")}`,
    );
  }
  let row = 0, kept = 0;
  for await (const { values, where } of rowsOf(spec, from, request)) {
    const number = row++;
    const asked = askedIn({ values, where }, spec, request);
    if (asked === undefined) continue;
    if (spec.distinctChoices && new Set(asked.choices).size < asked.choices!.length) continue;
    const shown = spec.shuffled ? shuffle(asked, SHUFFLE_SEED + kept) : asked;
    kept++;
    const { name, group, wording } = spec;
    yield {
      id: `${name}/${from}/${number}`,
      split,
      ...shown,
      ...(group === undefined ? {} : { group }),
      wording,
    };
  }
}

/** What a row says; `undefined` for one that is left out, or that cannot be read where somebody is told of those. */
function askedIn(row: DataRow, { fields, keep }: DatasetSpec, request: DatasetRequest): Asked | undefined {
  return readOrTell(request, () => {
    if (keep && !keep.values.includes(column(row.values, keep.column, row.where))) return undefined;
    return typeof fields === "function" ? fields(row) : readFields(fields, row);
  });
}

async function* rowsOf(spec: DatasetSpec, from: string, request: DatasetRequest): AsyncIterable<DataRow> {
  const path = spec.manual && await findManual(spec.manual, request);
  if (path !== undefined) yield* readManual(spec.manual!, path);
  else {
    await checkHere(spec, request);
    yield* readSource(spec, from, request);
  }
}

/**
 * Whether a dataset can be had: from the Hub, or from the file that somebody has put here.
 *
 * @throws {UserError} of kind `data`, saying where to get that file and where to put it
 */
export async function checkHere(spec: DatasetSpec, request: DatasetRequest): Promise<void> {
  const { name, manual, shots } = spec;
  if (manual === undefined || await findManual(manual, request) !== undefined) return;
  if (await findLocal(name, shots, request) !== undefined) return;
  throw missingManual(name, manual, request);
}

/** The choices of a question in a random order of their own. */
function shuffle(asked: Asked, seed: number): Asked {
  const { choices = [], answer } = asked;
  const order = createRng(seed).permutation(choices.length);
  return { ...asked, choices: order.map((from) => choices[from]), answer: order.indexOf(answer as number) };
}

function readFields({ question, passage, texts, choices, answer }: Fields, row: DataRow): Asked {
  const options = choices === undefined ? undefined : choicesOf(choices, row);
  return {
    question: text(row, question),
    ...(passage === undefined ? {} : { passage: text(row, passage) }),
    ...(texts === undefined ? {} : {
      texts: Object.fromEntries(Object.entries(texts).map(([name, path]) => [name, text(row, path)])),
    }),
    ...(options === undefined ? {} : { choices: options }),
    answer: answerOf(row, answer, options?.length ?? 0),
  };
}

function choicesOf(choices: string | readonly string[], row: DataRow): readonly string[] {
  if (typeof choices !== "string") {
    return choices.map((path) => path.startsWith("=") ? path.slice(1) : text(row, path));
  }
  const list = column(row.values, choices, row.where);
  if (!Array.isArray(list) || !list.every((item) => typeof item === "string")) {
    throw wrongType(choices, list, "a list of texts", row.where);
  }
  return list;
}

/** The right answer as a column names it, out of `count` choices. @throws {UserError} of kind `data` if it names none */
export function answerOf(
  row: DataRow,
  { column: path, form }: Fields["answer"],
  count: number,
): number | string {
  if (form === "text") return text(row, path);
  const value = column(row.values, path, row.where);
  const index = indexOf(value, form);
  if (Number.isInteger(index) && index >= 0 && index < count) return index;
  throw dataError(
    `Column "${path}" is ${JSON.stringify(value)}`,
    row.where,
    `it must name one of ${count} choices`,
  );
}

/** Index of the right choice; NaN, or one that is out of range, where the value names none. */
function indexOf(value: unknown, form: Exclude<AnswerForm, "text">): number {
  const number = typeof value === "number"
    ? value
    : typeof value === "string" && /^\d+$/.test(value)
    ? Number(value)
    : NaN;
  switch (form) {
    case "index":
      return number;
    case "number":
      return number - 1;
    case "letter":
      return typeof value === "string" && /^[A-Za-z]$/.test(value)
        ? value.toUpperCase().charCodeAt(0) - 65
        : number - 1;
    case "boolean":
      return typeof value === "boolean" ? Number(value) : NaN;
    case "one-hot":
      return Array.isArray(value) ? value.indexOf(1) : NaN;
  }
}

/** The text in a column. @throws {UserError} of kind `data` if there is none */
export function text({ values, where }: DataRow, path: string): string {
  const value = column(values, path, where);
  if (typeof value === "string") return value;
  throw wrongType(path, value, "a text", where);
}

/** The value in a column, which may lie in a structure. @throws {UserError} of kind `data` if it is missing */
export function column(values: DataRow["values"], path: string, where: string): unknown {
  let value: unknown = values;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) {
      const names = Object.keys(values).join(", ");
      throw dataError(`Column "${path}" is missing`, where, `the columns are ${names}`);
    }
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function wrongType(path: string, value: unknown, wanted: string, where: string): Error {
  return dataError(`Column "${path}" is ${JSON.stringify(value)}`, where, `it must be ${wanted}`);
}
