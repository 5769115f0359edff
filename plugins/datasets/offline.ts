/** Rows that an earlier stage wrote, as CSV files in a folder with one folder a split. */
import { join } from "node:path";
import {
  createRng,
  dataError,
  type Dataset,
  type DatasetRequest,
  downloadSnapshot,
  exists,
  hashFile,
  isHubName,
  parseHubName,
  readRows,
  type Split,
  SPLITS,
  type StoredRow,
  UserError,
} from "../../core/mod.ts";
import { MMLU_TASKS } from "./mmlu.ts";
import { MMLU_PRO_TASKS } from "./mmlu_pro.ts";
import { dataDirOf, taskCollection, taskOf, twoParts } from "./tasks.ts";

/** Draws the rows of a part, whatever the run's own seed is, so that a smaller part lies within a larger one. */
const SEED = 137;

/** `offline:<folder>`, with `<folder>/<split>/*.csv`; or the same on the Hub, `offline:hf:<owner>/<name>`. */
export const offline: Dataset = storedRows({
  name: "offline",
  description: "Answers or labels that an earlier stage wrote, as CSV files in a folder",
  argument: "folder that holds train/, validation/ or test/",
  tags: ["train", "eval"],
  place: folderOf,
});

/** Parts of `offline`, by the names of the research code: 1, 10, 25 and 50 % of each split. */
export const offlineParts: readonly Dataset[] = Object.entries({ xxs: 0.01, xs: 0.1, sm: 0.25, md: 0.5 })
  .map(([size, fraction]) =>
    storedRows({
      name: `offline_${size}`,
      description: `${100 * fraction} % of the rows of offline, drawn without replacement`,
      argument: "folder that holds train/, validation/ or test/",
      tags: ["train", "eval"],
      place: folderOf,
      fraction,
    })
  );

/** Answers to the subjects of MMLU and MMLU-Pro, and all of them: `<data-dir>/<name>/<style>/<folder>/<task>/`. */
export const offlineTasks: readonly Dataset[] = [
  ["mmlu_offline", "MMLU", MMLU_TASKS] as const,
  ["mmlu_pro_offline", "MMLU-Pro", MMLU_PRO_TASKS] as const,
].flatMap(([name, title, tasks]) => {
  const place = async ({ argument, ...request }: DatasetRequest) => {
    const [folder, task] = twoParts(argument, name);
    taskOf(task, tasks, name);
    const path = join(dataDirOf({ argument, ...request }, name), styleOf(request, name), folder, task);
    if (!await isFolder(path)) throw noFolder(path, `--dataset=${name}:${argument}`);
    return path;
  };
  const one = storedRows({
    name,
    description: `Answers to one subject of ${title}, from <data-dir>/${name}/<prompt style>`,
    argument: `folder and subject, as in ${name}:mine:${tasks[0]}`,
    tags: ["eval"],
    place,
    group: ({ argument }) => twoParts(argument, name)[1],
  });
  return [one, taskCollection(one, tasks)];
});

interface StoredRowsSpec extends Pick<Dataset, "name" | "description" | "argument" | "tags"> {
  /** Its folder. @throws {UserError} of kind `data` if there is none */
  readonly place: (request: DatasetRequest) => Promise<string>;
  /** The share of each split that is taken, at least one row; all if absent. */
  readonly fraction?: number;
  /** The group of its rows that name none. */
  readonly group?: (request: DatasetRequest) => string;
}

function storedRows({ name, description, argument, tags, place, fraction, group }: StoredRowsSpec): Dataset {
  return {
    kind: "dataset",
    name,
    version: 1,
    description,
    argument,
    defaults: {},
    tags,
    splits: SPLITS,
    available: async (request) => await splitsIn(await place(request)),
    async *read(split, request) {
      const rows = await readSplit(await place(request), split);
      const grouped = group ? rows.map((row) => ({ group: group(request), ...row })) : rows;
      yield* fraction === undefined ? grouped : takePart(grouped, fraction);
    },
    async revision(request) {
      const folder = await place(request), hashes: string[] = [];
      for (const split of await splitsIn(folder)) {
        for (const path of await filesOf(folder, split)) hashes.push(`${split}:${await hashFile(path)}`);
      }
      return hashes.join(" ");
    },
  };
}

/** Rows drawn without replacement, in their own order. */
function takePart(rows: readonly StoredRow[], fraction: number): StoredRow[] {
  const count = Math.max(1, Math.floor(fraction * rows.length));
  const drawn = createRng(SEED).permutation(rows.length).slice(0, count);
  return drawn.toSorted((a, b) => a - b).map((index) => rows[index]);
}

async function readSplit(folder: string, split: Split): Promise<StoredRow[]> {
  const taken = new Set<string>(), rows: StoredRow[] = [];
  for (const path of await filesOf(folder, split)) {
    for (const row of await readRows(path, split)) rows.push({ ...row, id: claimId(row.id, taken) });
  }
  return rows;
}

/** Ids are made of a row's texts, so a row that stands in two files needs another in the second. */
function claimId(id: string, taken: Set<string>): string {
  let free = id;
  for (let copy = 1; taken.has(free); copy++) free = `${id}-copy${copy}`;
  taken.add(free);
  return free;
}

/** The folder itself, the seed's `<data-dir>/offline/<name>-<style>`, or one of the Hub. */
async function folderOf({ argument, dataDir, promptStyle }: DatasetRequest): Promise<string> {
  if (argument === "") {
    throw new UserError({
      kind: "usage",
      what: "offline needs a folder",
      where: "--dataset=offline",
      fix: "name it, as in offline:runs/demo/labels",
    });
  }
  if (isHubName(argument)) {
    const wanted = (path: string) => /^(train|validation|test)\/[^/]+\.csv$/.test(path);
    return (await downloadSnapshot({ type: "dataset", ...parseHubName(argument), wanted })).folder;
  }
  if (await isFolder(argument)) return argument;
  const seeds = dataDir && promptStyle ? join(dataDir, "offline", `${argument}-${promptStyle}`) : undefined;
  if (seeds && await isFolder(seeds)) return seeds;
  throw noFolder(`${argument}${seeds ? ` and no ${seeds}` : ""}`, `--dataset=offline:${argument}`);
}

function styleOf({ promptStyle }: Pick<DatasetRequest, "promptStyle">, name: string): string {
  if (promptStyle !== undefined) return promptStyle;
  throw new UserError({
    kind: "usage",
    what: `${name} keeps the rows of each prompt style apart, but none is named`,
    where: `--dataset=${name}`,
    fix: "give --prompt-style=oe or choice",
  });
}

function noFolder(path: string, where: string): UserError {
  return dataError(
    `There is no folder ${path}`,
    where,
    "check the path, or run the stage that writes it first",
  );
}

async function isFolder(path: string): Promise<boolean> {
  return await exists(path) && (await Deno.stat(path)).isDirectory;
}

async function splitsIn(folder: string): Promise<readonly Split[]> {
  const there = await Promise.all(SPLITS.map((split) => isFolder(join(folder, split))));
  return SPLITS.filter((_, index) => there[index]);
}

async function filesOf(folder: string, split: Split): Promise<readonly string[]> {
  const path = join(folder, split);
  const names: string[] = [];
  if (await isFolder(path)) {
    for await (const { name, isFile, isSymlink } of Deno.readDir(path)) {
      // In the cache of the Hub, files are links.
      if ((isFile || isSymlink) && name.endsWith(".csv")) names.push(name);
    }
  }
  if (names.length === 0) {
    const splits = await splitsIn(folder);
    throw dataError(
      `There is no ${split} split`,
      path,
      splits.length > 0
        ? `the folder has ${splits.join(", ")}; have the model answer ${split} questions too, and label them`
        : "run the stage that writes it first",
    );
  }
  return names.sort().map((name) => join(path, name));
}
