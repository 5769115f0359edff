/** Users' own questions without code: `csv:<path>`, `jsonl:<path>`, `parquet:<path>` and `hf:<owner>/<name>`. */
import {
  dataError,
  type Dataset,
  type DatasetRequest,
  hashFile,
  type Question,
  type Split,
  SPLITS,
} from "../../core/mod.ts";
import {
  columnsOf,
  describeFields,
  guessFields,
  parseFields,
  readQuestion,
  type TableFields,
  type TableQuestion,
  valueAt,
} from "./table_fields.ts";
import { findFiles, groupBySplit, type SplitFiles, splitNamed, type TableFile } from "./table_files.ts";
import { findHubTables } from "./table_hub.ts";
import { dealt } from "./table_shares.ts";
import { type DataRow, readTable, tableColumns } from "./tables/mod.ts";
import { readOrTell } from "./unreadable.ts";

/** Options of a dataset that is read from a table. */
export interface TableDatasetOptions {
  /** Which columns mean what; the usual names of columns if empty. */
  readonly fields: string;
}

/** Where the files of a dataset lie, and what identifies them. */
export interface TablePlace {
  find(request: DatasetRequest<TableDatasetOptions>): Promise<SplitFiles>;
  revision(files: SplitFiles, request: DatasetRequest<TableDatasetOptions>): Promise<string>;
}

/** A dataset of questions in tables that lie somewhere. */
function tableDataset(
  about: Pick<Dataset, "name" | "description"> & { readonly argument: string },
  { find, revision }: TablePlace,
): Dataset<TableDatasetOptions> {
  const read = (split: Split, request: DatasetRequest<TableDatasetOptions>) =>
    questions(about.name, find, split, request);
  const available = async (request: DatasetRequest<TableDatasetOptions>) => {
    const files = await find(request), fields = await fieldsOf(files, request);
    if (fields?.split === undefined) return SPLITS.filter((name) => files[name]);
    const there = new Set<Split>();
    for (const file of allFiles(files)) {
      const path = await file.locate(), columns = dividing(fields, await tableColumns(path, file));
      for await (const row of readTable(path, { ...file, columns })) there.add(splitIn(row, fields));
    }
    return SPLITS.filter((name) => there.has(name));
  };
  return {
    kind: "dataset",
    ...about,
    version: 1,
    defaults: { fields: "" },
    help: { fields: "columns, as question=q,answer=a,choices=b|c (by their names)" },
    tags: ["train", "eval"],
    splits: SPLITS,
    available,
    read,
    async shotPool(request) {
      if (!(await available(request)).includes("train")) return [];
      const pool: Question[] = [];
      for await (const question of read("train", request)) pool.push(question);
      return pool;
    },
    async revision(request) {
      // Said here as well, so that a wrong field is known before a model is loaded.
      givenFields(request);
      return await revision(await find(request), request);
    },
  };
}

/** Files on this machine, and their hashes. */
function localTable(format: "csv" | "jsonl" | "parquet", title: string): Dataset<TableDatasetOptions> {
  return tableDataset({
    name: format,
    description: `Your own questions, from ${title}; --fields says which columns mean what`,
    argument: `file, folder with files named by split, or train=<path>,test=<path>`,
  }, {
    find: ({ argument }) => findFiles(argument, format),
    async revision(files) {
      const parts: string[] = [];
      for (const split of SPLITS) {
        for (const file of files[split] ?? []) parts.push(`${split}:${await hashFile(await file.locate())}`);
      }
      return parts.join(" ");
    },
  });
}

/** Tables of a repository on the Hub, and its commit. */
const hubTable = tableDataset({
  name: "hf",
  description: "Any question dataset of the Hugging Face Hub; --fields says which columns mean what",
  argument: "owner/name, owner/name:configuration or owner/name@revision",
}, {
  find: async ({ argument }) => (await findHubTables(argument)).files,
  revision: async (_, { argument }) => (await findHubTables(argument)).revision,
});

/** The datasets of users' own tables. */
export const tables: readonly Dataset<TableDatasetOptions>[] = [
  localTable("csv", "a CSV file with a header line"),
  localTable("jsonl", "JSON Lines"),
  localTable("parquet", "Parquet"),
  hubTable,
];

function givenFields({ options: { fields } }: DatasetRequest<TableDatasetOptions>): TableFields | undefined {
  return fields === "" ? undefined : parseFields(fields);
}

function allFiles(files: SplitFiles): readonly TableFile[] {
  return SPLITS.flatMap((split) => files[split] ?? []);
}

/** The columns by which rows are told apart. */
function dividing({ answer, question, passage, split }: TableFields, columns: readonly string[]) {
  return columnsOf(
    typeof split === "string"
      ? { question: split, answer: { column: split } }
      : { question, answer, ...(passage === undefined ? {} : { passage }) },
    columns,
  );
}

/** The split that a row names, or is dealt to. */
function splitIn(row: DataRow, { question, passage, split }: TableFields): Split {
  // Questions on one passage, and a question that stands twice, belong together, wherever in the table they stand.
  if (typeof split === "object") return dealt(valueAt(row, passage ?? question), split);
  const value = valueAt(row, split!), named = typeof value === "string" ? splitNamed(value) : undefined;
  if (named) return named;
  throw dataError(
    `Column "${split}" is ${JSON.stringify(value)}`,
    row.where,
    "it must be train, validation or test; or name the columns without it: --fields=question=…,answer=…",
  );
}

/** The only file, if its name says nothing of a split. */
function undividedFile(files: SplitFiles): TableFile | undefined {
  const [file, ...others] = allFiles(files);
  const named = file && Object.keys(groupBySplit([file.name.split(/[/\\]/).at(-1)!])).length > 0;
  return others.length === 0 && !named ? file : undefined;
}

/** The fields that are given; or the usual ones, where a column of theirs may say which split a row belongs to. */
async function fieldsOf(
  files: SplitFiles,
  request: DatasetRequest<TableDatasetOptions>,
): Promise<TableFields | undefined> {
  const given = givenFields(request), file = undividedFile(files);
  if (given !== undefined || file === undefined) return given;
  return guessFields(await tableColumns(await file.locate(), file), file.name, true);
}

/** The question in a row; `undefined` for a row of another split. */
function questionIn(row: DataRow, fields: TableFields, split: Split): TableQuestion | undefined {
  return fields.split === undefined || splitIn(row, fields) === split ? readQuestion(fields, row) : undefined;
}

async function* questions(
  dataset: string,
  find: TablePlace["find"],
  split: Split,
  request: DatasetRequest<TableDatasetOptions>,
): AsyncIterable<Question> {
  const found = await find(request), known = await fieldsOf(found, request);
  const files = known?.split === undefined ? found[split] : allFiles(found);
  if (files === undefined) {
    const there = SPLITS.filter((name) => found[name]).join(", ");
    throw dataError(
      `There is no ${split} split`,
      `--dataset=${dataset}:${request.argument}, which has ${there}`,
      `add --splits=${there.replaceAll(", ", ",")}, say which file it is: ${dataset}:${split}=<path>, ` +
        "or have all rows dealt: --fields=question=…,answer=…,split=80/10/10",
    );
  }
  let fields = givenFields(request), number = 0;
  for (const file of files) {
    const path = await file.locate(), columns = await tableColumns(path, file);
    if (fields === undefined) {
      fields = known ?? guessFields(columns, file.name);
      request.warn?.(`Columns by their names: --fields=${describeFields(fields)}`);
    }
    if (fields.split === undefined && undividedFile(found)) {
      const dealt = describeFields({ ...fields, split: [80, 10, 10] });
      request.warn?.(`All rows are test rows; to train on most of them: --fields=${dealt}`);
    }
    for await (const row of readTable(path, { ...file, columns: columnsOf(fields, columns) })) {
      const read = readOrTell(request, () => questionIn(row, fields!, split));
      if (read === undefined) continue;
      const { id = `${split}/${number}`, ...question } = read;
      number++;
      yield { id: `${dataset}/${id}`, split, ...question };
    }
  }
}
