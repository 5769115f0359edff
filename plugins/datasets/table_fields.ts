/** What the columns of a user's own table mean, and the question in a row of it. */
import { dataError, suggestion, UserError } from "../../core/mod.ts";
import { sharesIn, type SplitShares } from "./table_shares.ts";
import type { DataRow } from "./tables/mod.ts";

/** How a column names the right one of several choices. */
const FORMS = ["index", "number", "letter", "label", "text"] as const;

type Form = typeof FORMS[number];

/** What columns can be used for, as in `--fields=question=<column>,…`. */
const ROLES = ["question", "answer", "choices", "passage", "id", "group", "split"] as const;

type Role = typeof ROLES[number];

/** Which columns mean what; `a.b` is column `b` of the structure in column `a`. */
export interface TableFields
  extends Readonly<Partial<Record<Exclude<Role, "answer" | "choices" | "split">, string>>> {
  readonly question: string;
  /** The column that names a row's split, or the percentages by which rows are dealt to the three. */
  readonly split?: string | SplitShares;
  readonly answer: { readonly column: string; readonly form?: Form };
  /** One column that holds all of them, or one for each; the literal choices behind `=`. */
  readonly choices?: readonly string[];
}

/** What a row says. */
export interface TableQuestion {
  readonly question: string;
  readonly passage?: string;
  readonly choices?: readonly string[];
  readonly answer: number | string;
  readonly id?: string;
  readonly group?: string;
}

/** Names that the columns of question tables usually have, in the order in which they are preferred. */
const USUAL: Readonly<Record<Exclude<Role, "choices">, readonly string[]>> = {
  question: ["question", "questiontext", "query", "prompt", "problem", "input"],
  answer: [
    "answer",
    "answerkey",
    "correctanswer",
    "answerindex",
    "answeridx",
    "correct",
    "label",
    "target",
    "gold",
  ],
  passage: ["passage", "context", "support", "article"],
  id: ["id", "qid", "questionid"],
  group: ["group", "subject", "category", "topic"],
  split: ["split"],
};

/** One column with all choices, or one for each: by number from 0 or 1, or by letter. */
const CHOICES = ["choices", "options"];
const CHOICE_STEMS = ["choice", "option", "answer", "op", ""];

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** Reads `question=<column>,answer=<column>[:<form>],choices=<column>|<column>,…`. */
export function parseFields(text: string): TableFields {
  const refuse = (what: string, fix: string) =>
    new UserError({ kind: "usage", what, where: "--fields", fix });
  const found = new Map<Role, string>();
  for (const part of text.split(",")) {
    const [, name, column] = /^\s*([^=]*?)\s*=(.*)$/.exec(part) ?? [];
    if (name === undefined || column.trim() === "") {
      throw refuse(
        `"${part}" does not say which column is meant`,
        "write it as question=<column>,answer=<column>",
      );
    }
    const role = ROLES.find((role) => role === name);
    if (!role) throw refuse(`Unknown field "${name}"`, suggestion(name, ROLES));
    if (found.has(role)) {
      throw refuse(`The field "${role}" is given twice`, "several choices are written a|b|c");
    }
    found.set(role, column.trim());
  }
  const { choices, answer: given, question, split, ...others } = Object.fromEntries(found) as Partial<
    Record<Role, string>
  >;
  if (question === undefined || given === undefined) {
    const lacking = question === undefined ? "question" : "answer";
    throw refuse(`There is no field "${lacking}"`, `add ${lacking}=<column>`);
  }
  const [, column = given, form] = /^(.*):([a-z]+)$/.exec(given) ?? [];
  const known = FORMS.find((name) => name === form);
  if (form !== undefined && !known) throw refuse(`Unknown form of answer "${form}"`, suggestion(form, FORMS));
  if (known && known !== "text" && choices === undefined) {
    throw refuse(`The answer is a choice's ${known}, but there are no choices`, "add choices=<column>");
  }
  return {
    question,
    answer: { column, ...(known ? { form: known } : {}) },
    ...(choices === undefined ? {} : { choices: choices.split("|").map((part) => part.trim()) }),
    ...(split === undefined ? {} : { split: sharesIn(split) ?? split }),
    ...others,
  };
}

/** The fields as `--fields` has them. */
export function describeFields({ answer: { column, form }, choices, split, ...others }: TableFields): string {
  const answer = form === undefined ? column : `${column}:${form}`;
  const lists = {
    ...(choices && { choices: choices.join("|") }),
    ...(split && { split: typeof split === "string" ? split : split.join("/") }),
  };
  return Object.entries({ ...others, answer, ...lists })
    .map(([role, name]) => `${role}=${name}`).join(",");
}

/**
 * The fields by the usual names of columns.
 *
 * @param undivided whether nothing else says which split a row belongs to, so that a column may
 * @throws {UserError} of kind `data` if question or answer has none
 */
export function guessFields(columns: readonly string[], where: string, undivided = false): TableFields {
  const simple = new Map(
    columns.map((column) => [column.toLowerCase().replaceAll(/[^a-z0-9]/g, ""), column]),
  );
  const find = (names: readonly string[]) =>
    names.map((name) => simple.get(name)).find((column) => column !== undefined);
  const question = find(USUAL.question), answer = find(USUAL.answer);
  if (columns.length === 0) {
    throw dataError("There is no row that says what the columns are", where, "put questions into it");
  }
  if (question === undefined || answer === undefined) {
    throw dataError(
      `No column is called ${question === undefined ? "question" : "answer"}, nor what is usual for it`,
      `${where}, with the columns ${columns.slice(0, 20).join(", ")}`,
      "say which columns to use: --fields=question=<column>,answer=<column>,choices=<column>|<column>",
    );
  }
  const all = find(CHOICES);
  const each = CHOICE_STEMS.flatMap((stem) => [
    [...LETTERS].map((letter) => `${stem}${letter}`),
    ...[0, 1].map((first) => [...LETTERS].map((_, index) => `${stem}${first + index}`)),
  ]).map((names) => columnsInRow(names, simple)).find(({ length }) => length > 1);
  const choices = all === undefined ? each : [all];
  const roles = ["passage", "id", "group", ...(undivided ? ["split"] as const : [])] as const;
  const others = roles.flatMap((role) => {
    const column = find(USUAL[role]);
    return column === undefined ? [] : [[role, column]];
  });
  return {
    question,
    answer: { column: answer },
    ...(choices ? { choices } : {}),
    ...Object.fromEntries(others),
  };
}

/** The columns of the first names, up to one that is not there. */
function columnsInRow(names: readonly string[], columns: ReadonlyMap<string, string>): readonly string[] {
  const found = names.map((name) => columns.get(name));
  const end = found.indexOf(undefined);
  return (end < 0 ? found : found.slice(0, end)) as string[];
}

/** Which of a table's columns fields read; of a path with dots, the outermost, but for a column of that very name. */
export function columnsOf(
  { answer, choices = [], split, ...others }: TableFields,
  columns: readonly string[],
): readonly string[] {
  const paths = [
    ...Object.values(others),
    ...(typeof split === "string" ? [split] : []),
    answer.column,
    ...choices.filter((path) => !path.startsWith("=")),
  ];
  return [...new Set(paths.map((path) => columns.includes(path) ? path : path.split(".")[0]))];
}

/** The question in a row. @throws {UserError} of kind `data` naming file, row and column if it is not sound */
export function readQuestion(fields: TableFields, row: DataRow): TableQuestion {
  const offered = fields.choices && choicesOf(fields.choices, row);
  // Rows of JSON Lines may leave out what they do not have.
  const has = (path: string) => [path, path.split(".")[0]].some((name) => Object.hasOwn(row.values, name));
  const optional = (path: string | undefined) => {
    const value = path === undefined || !has(path) ? null : valueAt(row, path);
    return value === null ? undefined : textOf(value, path!, row) || undefined;
  };
  const passage = optional(fields.passage), id = optional(fields.id), group = optional(fields.group);
  return {
    question: textAt(row, fields.question),
    ...(passage === undefined ? {} : { passage }),
    ...(offered === undefined ? {} : { choices: offered.texts }),
    answer: offered === undefined
      ? openAnswer(row, fields.answer.column)
      : answerOf(fields.answer, offered, row),
    ...(id === undefined ? {} : { id }),
    ...(group === undefined ? {} : { group }),
  };
}

/** The value at a path; null where there is none, or no structure on the way. @throws {UserError} of kind `data` for no column */
export function valueAt({ values, where }: DataRow, path: string): unknown {
  // A column may have a dot in its own name.
  const names = Object.hasOwn(values, path) ? [path] : path.split(".");
  let value: unknown = values;
  for (const name of names) {
    if (value === null) return null;
    if (typeof value !== "object" || Array.isArray(value) || !Object.hasOwn(value, name)) {
      throw dataError(
        `Column "${path}" is missing`,
        where,
        `the columns are ${Object.keys(values).join(", ")}`,
      );
    }
    value = (value as Record<string, unknown>)[name];
  }
  // What is missing among numbers, pandas writes as none.
  return Number.isNaN(value) ? null : value ?? null;
}

/** A value in a message, cut where it is long. */
function show(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes that are no UTF-8 text`;
  if (value instanceof Date) return `a date (${value.toISOString()})`;
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = "a value of many structures";
  }
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

function textAt(row: DataRow, path: string): string {
  const value = valueAt(row, path), text = value === null ? "" : textOf(value, path, row);
  if (text !== "") return text;
  throw dataError(`Column "${path}" is empty`, row.where, "fill it in, or leave the row out");
}

/** The answer itself; of several that are right, as SQuAD lists them, the first. */
function openAnswer(row: DataRow, path: string): string {
  const [first] = listOfTexts(valueAt(row, path)) ?? [];
  return first === undefined || first === "" ? textAt(row, path) : first;
}

function textOf(value: unknown, path: string, { where }: DataRow): string {
  const text = textOrNone(value);
  if (text !== undefined) return text;
  throw dataError(
    `Column "${path}" is ${show(value)}`,
    where,
    "it must be a text; of a structure, name the part that is one: column.part",
  );
}

/** Texts, numbers and truth values as texts; a blank around them would be asked for, and looked for in answers. */
function textOrNone(value: unknown): string | undefined {
  return ["string", "number", "boolean"].includes(typeof value) ? String(value).trim() : undefined;
}

/** Choices in the order they are shown, and what the table calls them, if it does. */
interface Offered {
  readonly texts: readonly string[];
  readonly labels?: readonly string[];
}

function choicesOf(paths: readonly string[], row: DataRow): Offered {
  const offered = paths.length > 1 ? { texts: eachColumn(paths, row) } : choicesIn(valueAt(row, paths[0]));
  if (offered !== undefined && offered.texts.length > 1) return offered;
  const value = paths.length > 1 ? offered!.texts : valueAt(row, paths[0]);
  const columns = paths.map((path) => `"${path}"`).join(", ");
  throw dataError(
    `${paths.length > 1 ? "Columns" : "Column"} ${columns} ${paths.length > 1 ? "hold" : "is"} ${
      show(value)
    }`,
    row.where,
    'there must be two choices or more: a list, JSON such as ["red","blue"], or columns choices=<column>|<column>',
  );
}

/** One choice a column; the last ones may be empty, where questions have few. */
function eachColumn(paths: readonly string[], row: DataRow): readonly string[] {
  const texts = paths.map((path) => {
    if (path.startsWith("=")) return path.slice(1);
    const value = valueAt(row, path);
    return value === null ? "" : textOf(value, path, row);
  });
  const count = texts.findLastIndex((text) => text !== "") + 1, gap = texts.indexOf("");
  if (gap < 0 || gap >= count) return texts.slice(0, count);
  throw dataError(
    `Column "${paths[gap]}" is empty`,
    row.where,
    "fill it in; only the last choices may be missing",
  );
}

/** The choices in a value: a list of texts or of structures with text and label, a structure of two lists, or JSON. */
function choicesIn(value: unknown): Offered | undefined {
  if (typeof value === "string") {
    try {
      const parsed: unknown = JSON.parse(value);
      return typeof parsed === "string" ? undefined : choicesIn(parsed);
    } catch {
      return undefined;
    }
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (!Array.isArray(value)) {
    const { text, label } = value as Record<string, unknown>;
    const texts = listOfTexts(text), labels = listOfTexts(label);
    return texts && { texts, ...(labels?.length === texts.length ? { labels } : {}) };
  }
  const texts = listOfTexts(value);
  if (texts) return { texts };
  const parts = value.map((item) =>
    typeof item === "object" && item !== null ? item as Record<string, unknown> : {}
  );
  const inside = listOfTexts(parts.map(({ text }) => text)),
    labels = listOfTexts(parts.map(({ label }) => label));
  return inside && { texts: inside, ...(labels ? { labels } : {}) };
}

function listOfTexts(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const texts = value.map(textOrNone);
  return texts.every((text) => text !== undefined) ? texts : undefined;
}

function answerOf({ column, form }: TableFields["answer"], { texts, labels }: Offered, row: DataRow): number {
  const value = valueAt(row, column);
  const text = textOrNone(value)?.trim() ?? "";
  const whole = typeof value === "boolean" ? Number(value) : /^\d+$/.test(text) ? Number(text) : NaN;
  const meant: Readonly<Record<Form, () => number>> = {
    index: () => whole,
    number: () => whole - 1,
    letter: () => /^[A-Za-z]$/.test(text) ? LETTERS.indexOf(text.toLowerCase()) : NaN,
    label: () => labels?.indexOf(text) ?? NaN,
    text: () => only(texts.map((choice) => choice.trim()), text),
  };
  const fits = (index: number) => index >= 0 && index < texts.length;
  if (form !== undefined) {
    const index = meant[form]();
    if (fits(index)) return index;
    throw unknownAnswer(
      value,
      column,
      `the ${form} of one of ${texts.length} choices${FROM[form] ?? ""}`,
      row,
    );
  }
  // A label is unmistakable where the table gives labels.
  if (fits(meant.label())) return meant.label();
  const ways = (["index", "letter", "text"] as const).map((form) => [form, meant[form]()] as const)
    .filter(([, index]) => fits(index));
  const [first] = ways;
  if (first === undefined) {
    const hint = whole === texts.length
      ? `; if it counts from 1, say --fields=…,answer=${column}:number`
      : "";
    throw unknownAnswer(
      value,
      column,
      `an index from 0, a letter, a label or the text of one of ${texts.length} choices${hint}`,
      row,
    );
  }
  const other = ways.find(([, index]) => index !== first[1]);
  if (other === undefined) return first[1];
  throw dataError(
    `Column "${column}" is ${show(value)}, which is the ${first[0]} of one choice and the ${
      other[0]
    } of another`,
    row.where,
    `say which is meant: --fields=…,answer=${column}:${first[0]} or answer=${column}:${other[0]}`,
  );
}

const FROM: Readonly<Partial<Record<Form, string>>> = {
  index: ", counted from 0",
  number: ", counted from 1",
};

/** Index of the only item that is equal; NaN where there is none, or several. */
function only(items: readonly string[], item: string): number {
  const index = items.indexOf(item);
  return index < 0 || index !== items.lastIndexOf(item) ? NaN : index;
}

function unknownAnswer(value: unknown, column: string, wanted: string, { where }: DataRow): Error {
  return value === null || value === ""
    ? dataError(`Column "${column}" is empty`, where, "fill it in, or leave the row out")
    : dataError(`Column "${column}" is ${show(value)}`, where, `it must be ${wanted}`);
}
