/**
 * MMLU (Hendrycks et al. 2021): 57 subjects, four choices, read in the public schema of `cais/mmlu` from a local
 * folder or from the Hugging Face Hub.
 */
import { join } from "node:path";
import {
  dataError,
  type Dataset,
  type DatasetRequest,
  downloadSnapshot,
  exists,
  hashFile,
  hubSettings,
  type Question,
  readCsv,
  type Split,
  suggestion,
  UserError,
} from "../../core/mod.ts";
import { readTable } from "./tables/mod.ts";
import { readOrTell } from "./unreadable.ts";

const HOME = "https://huggingface.co/datasets/cais/mmlu";

/** All subjects, in the order of the research code. */
export const MMLU_TASKS: readonly string[] = [
  "abstract_algebra",
  "anatomy",
  "astronomy",
  "business_ethics",
  "clinical_knowledge",
  "college_biology",
  "college_chemistry",
  "college_computer_science",
  "college_mathematics",
  "college_medicine",
  "college_physics",
  "computer_security",
  "conceptual_physics",
  "econometrics",
  "electrical_engineering",
  "elementary_mathematics",
  "formal_logic",
  "global_facts",
  "high_school_biology",
  "high_school_chemistry",
  "high_school_computer_science",
  "high_school_european_history",
  "high_school_geography",
  "high_school_government_and_politics",
  "high_school_macroeconomics",
  "high_school_mathematics",
  "high_school_microeconomics",
  "high_school_physics",
  "high_school_psychology",
  "high_school_statistics",
  "high_school_us_history",
  "high_school_world_history",
  "human_aging",
  "human_sexuality",
  "international_law",
  "jurisprudence",
  "logical_fallacies",
  "machine_learning",
  "management",
  "marketing",
  "medical_genetics",
  "miscellaneous",
  "moral_disputes",
  "moral_scenarios",
  "nutrition",
  "philosophy",
  "prehistory",
  "professional_accounting",
  "professional_law",
  "professional_medicine",
  "professional_psychology",
  "public_relations",
  "security_studies",
  "sociology",
  "us_foreign_policy",
  "virology",
  "world_religions",
];

/** MMLU's own splits: worked examples come from `dev`. */
const MMLU_SPLITS = ["dev", "validation", "test"] as const;

type MmluSplit = typeof MMLU_SPLITS[number];

/** One subject: `mmlu:<subject>`. For evaluation only. */
export const mmlu: Dataset = {
  kind: "dataset",
  name: "mmlu",
  version: 1,
  description: "One subject of MMLU, from --data-dir or the Hugging Face Hub",
  argument: "subject, as in mmlu:anatomy",
  home: HOME,
  licence: "MIT",
  defaults: {},
  tags: ["eval"],
  splits: ["validation", "test"],
  evalKshot: 5,
  async available(request) {
    taskOf(request);
    const here = await splitsHere(findLocal, request);
    if (here.length === 0 && (await hubSettings()).offline) {
      here.push(...await splitsHere(findCached, request));
    }
    return here.length === 0 ? this.splits : this.splits.filter((split) => here.includes(split as MmluSplit));
  },
  async *read(split, request) {
    yield* await readTask(split as MmluSplit, split, request);
  },
  shotPool: (request) => readTask("dev", "train", { ...request, onUnreadable: undefined }),
  async revision(request) {
    const task = taskOf(request), parts: string[] = [];
    for (const split of MMLU_SPLITS) {
      const found = await locate(split, request);
      if (found) parts.push(`${split}:${found.source}:${await hashFile(found.path)}`);
    }
    if (parts.length === 0) throw notFound("test", task, request);
    return parts.join(" ");
  },
};

/** Every subject of MMLU: those in `--data-dir`, or else all of them, from the Hub. */
export const mmluAll: Dataset = {
  kind: "dataset",
  name: "mmlu_all",
  version: 1,
  description: "Every subject of MMLU, those in --data-dir or else all",
  home: HOME,
  licence: "MIT",
  rows: { validation: 1531, test: 14_042 },
  defaults: {},
  tags: ["eval"],
  splits: ["validation", "test"],
  async expand(request) {
    const { offline } = await hubSettings();
    const here = async (find: typeof findLocal) => {
      const found = MMLU_TASKS.map((task) => find("test", { ...request, argument: task }));
      const there = await Promise.all(found);
      return MMLU_TASKS.filter((_, index) => there[index]);
    };
    let tasks: readonly string[] = await here(findLocal);
    if (tasks.length === 0) tasks = offline ? await here(findCached) : MMLU_TASKS;
    if (tasks.length === 0) throw notFound("test", MMLU_TASKS[0], request);
    return tasks.map((task) => `mmlu:${task}`);
  },
};

async function readTask(
  from: MmluSplit,
  split: Split,
  request: DatasetRequest,
): Promise<readonly Question[]> {
  const task = taskOf(request);
  const found = await locate(from, request);
  if (!found) throw notFound(from, task, request);
  const { path } = found;
  const rows = path.endsWith(".parquet") ? await readParquet(path) : await readChoicesCsv(path);
  const title = task.replaceAll("_", " ");
  const subject = title.charAt(0).toUpperCase() + title.slice(1);
  const wording = {
    oe: {
      header: `The following are questions (with answers) about ${subject}.`,
      tail: "Now, answer the next question.",
    },
    choice: {
      header: `The following are multiple-choice questions (with answers) about ${subject}.`,
      tail: "Now, answer the next question.",
    },
  };
  const read = ({ question, choices, answer: text }: Row, index: number) => {
    const answer = text.trim() === "" ? NaN : Number(text);
    if (!Number.isInteger(answer) || answer < 0 || answer >= choices.length) {
      throw dataError(
        `The answer is ${JSON.stringify(text)}`,
        `${path}, row ${index + 1}`,
        `it must be 0 to ${choices.length - 1}`,
      );
    }
    return { id: `mmlu:${task}/${from}/${index}`, split, question, choices, answer, group: task, wording };
  };
  return rows.flatMap((row, index) => readOrTell(request, () => read(row, index)) ?? []);
}

/** The subject asked for. @throws {UserError} of kind `usage` if MMLU has none of that name */
function taskOf({ argument: task }: DatasetRequest): string {
  if (MMLU_TASKS.includes(task)) return task;
  throw new UserError({
    kind: "usage",
    what: `Unknown MMLU subject "${task}"`,
    where: `--dataset=mmlu:${task}`,
    fix: suggestion(task, MMLU_TASKS),
  });
}

interface Row {
  readonly question: string;
  readonly choices: readonly string[];
  /** As the file has it. */
  readonly answer: string;
}

/** The columns of `cais/mmlu`, with the list of choices spread over `choice0` to `choice3`. */
async function readChoicesCsv(path: string): Promise<readonly Row[]> {
  const columns = ["choice0", "choice1", "choice2", "choice3"];
  const rows = await readCsv(path, ["question", ...columns, "answer"]);
  return rows.map((row) => ({
    question: row.question,
    choices: columns.map((name) => row[name]),
    answer: row.answer,
  }));
}

async function readParquet(path: string): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for await (const { values, where } of readTable(path, { columns: ["question", "choices", "answer"] })) {
    const { question, choices, answer } = values;
    if (!Array.isArray(choices)) throw dataError("There are no choices", where, "download the dataset again");
    rows.push({ question: String(question), choices: choices.map(String), answer: String(answer) });
  }
  return rows;
}

interface Found {
  readonly path: string;
  readonly source: string;
}

/** The file of a split: in `--data-dir`, in the cache of the Hub, or downloaded into it. */
async function locate(split: MmluSplit, request: DatasetRequest): Promise<Found | undefined> {
  const found = await findLocal(split, request) ?? await findCached(split, request);
  if (found) return found;
  const { argument: task } = request;
  // A subject that somebody has put here is not mixed with another copy of it.
  if ((await splitsHere(findLocal, request)).length > 0 || (await hubSettings()).offline) return undefined;
  const wanted = (path: string) => path.startsWith(`${task}/`) && path.endsWith(".parquet");
  try {
    await downloadSnapshot({ type: "dataset", repo: "cais/mmlu", revision: "main", wanted });
  } catch (error) {
    throw error instanceof UserError ? notFound(split, task, request, error) : error;
  }
  return await findCached(split, request);
}

/** The splits of a subject that are found in one place. */
async function splitsHere(find: typeof findLocal, request: DatasetRequest): Promise<MmluSplit[]> {
  const found = await Promise.all(MMLU_SPLITS.map((split) => find(split, request)));
  return MMLU_SPLITS.filter((_, index) => found[index]);
}

/** Looks for `<data-dir>[/mmlu]/<split>/<subject>_<split>.csv`. */
async function findLocal(
  split: MmluSplit,
  { argument: task, dataDir }: DatasetRequest,
): Promise<Found | undefined> {
  for (const root of dataDir ? [dataDir, join(dataDir, "mmlu")] : []) {
    const path = join(root, split, `${task}_${split}.csv`);
    if (await exists(path)) return { path, source: "local" };
  }
}

async function findCached(split: MmluSplit, { argument: task }: DatasetRequest): Promise<Found | undefined> {
  const repository = join(await hubCache(), "datasets--cais--mmlu");
  const main = join(repository, "refs", "main");
  if (!await exists(main)) return undefined;
  const revision = (await Deno.readTextFile(main)).trim();
  const path = join(repository, "snapshots", revision, task, `${split}-00000-of-00001.parquet`);
  return await exists(path) ? { path, source: `cais/mmlu@${revision}` } : undefined;
}

async function hubCache(): Promise<string> {
  return (await hubSettings()).cache;
}

function notFound(
  split: MmluSplit,
  task: string,
  { dataDir }: DatasetRequest,
  download?: UserError,
): UserError {
  const asked = split === "dev" ? "test" : split;
  const why = download ? `, and cannot be downloaded: ${download.what}` : "";
  return dataError(
    `The ${split} split of MMLU's ${task} is not on this machine${why}`,
    `${dataDir ? `--data-dir=${dataDir} and ` : ""}the cache of the Hugging Face Hub`,
    `${
      download ? `${download.fix}; or ` : ""
    }give --data-dir=<folder> with ${asked}/<subject>_${asked}.csv and ` +
      "dev/<subject>_dev.csv",
    download,
  );
}
