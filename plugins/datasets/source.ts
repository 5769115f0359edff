/** Rows of a dataset's source: files on this machine, or Parquet from the Hugging Face Hub. */
import { join } from "node:path";
import {
  dataError,
  type DatasetRequest,
  downloadSnapshot,
  exists,
  hashFile,
  UserError,
} from "../../core/mod.ts";
import type { DatasetSpec } from "./spec.ts";
import { PARQUET_REVISION } from "./table_hub.ts";
import { type DataRow, readTable } from "./tables/mod.ts";

export type { DataRow } from "./tables/mod.ts";

/** Endings of files below `--data-dir`; where there are several of a split, the first counts. */
const ENDINGS = ["parquet", ...["jsonl", "csv"].flatMap((name) => [name, `${name}.gz`, `${name}.zst`])];

/** Files of a split, and what says which they are. */
interface Located {
  readonly paths: readonly string[];
  readonly revision: string;
}

/** The rows of a split of the source, in the order of its files. */
export async function* readSource(
  spec: DatasetSpec,
  split: string,
  request: DatasetRequest,
): AsyncIterable<DataRow> {
  const { paths } = await locate(spec, split, request);
  const columns = columnsOf(spec);
  for (const path of paths) yield* readTable(path, { columns });
}

/** The columns that a dataset reads; all where a function reads them. */
function columnsOf({ fields, keep }: DatasetSpec): readonly string[] | undefined {
  if (typeof fields === "function") return undefined;
  const { question, passage, texts = {}, choices = [], answer } = fields;
  const chosen = [choices].flat().filter((path) => !path.startsWith("="));
  const paths = [question, passage, ...Object.values(texts), ...chosen, answer.column, keep?.column];
  return [...new Set(paths.filter((path) => path !== undefined).map((path) => path.split(".")[0]))];
}

/** What the splits are read from: hashes of files on this machine, or a commit on the Hub. */
export async function sourceRevision(
  spec: DatasetSpec,
  splits: readonly string[],
  request: DatasetRequest,
): Promise<string> {
  const parts: string[] = [];
  for (const split of new Set([...splits, spec.shots])) {
    parts.push(`${split}:${(await locate(spec, split, request)).revision}`);
  }
  return parts.join(" ");
}

/** The file of a split below `--data-dir`, if there is one. */
export async function findLocal(
  name: string,
  split: string,
  { dataDir }: DatasetRequest,
): Promise<string | undefined> {
  for (const ending of dataDir === undefined ? [] : ENDINGS) {
    const path = join(dataDir!, name, `${split}.${ending}`);
    if (await exists(path)) return path;
  }
}

/** A file below `--data-dir` comes before the Hub. */
async function locate(spec: DatasetSpec, split: string, request: DatasetRequest): Promise<Located> {
  const { name, source } = spec, { dataDir } = request;
  const folder = dataDir === undefined ? undefined : join(dataDir, name);
  const local = await findLocal(name, split, request);
  if (local !== undefined) return { paths: [local], revision: await hashFile(local) };
  try {
    return await download(spec, split);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw dataError(
      `The ${split} split of ${name} is not on this machine, and cannot be downloaded: ${error.what}`,
      `${folder ?? "no --data-dir is given"}, ${source.repo} on the Hugging Face Hub`,
      `${error.fix}; or put it at <data-dir>/${name}/${split}.parquet, .jsonl or .csv`,
      error,
    );
  }
}

/** Fetches a split from the Hub; its files lie at `<configuration>/<split>/<number>.parquet`. */
async function download({ source: { repo, config } }: DatasetSpec, split: string): Promise<Located> {
  const isOfSplit = (path: string, all: readonly string[]) => {
    const parts = path.split("/"), configuration = config ?? all[0]?.split("/")[0];
    return parts.length === 3 && parts[0] === configuration && parts[1] === split &&
      path.endsWith(".parquet");
  };
  const files: string[] = [];
  const wanted = (path: string, all: readonly string[]) => {
    const found = isOfSplit(path, all);
    if (found) files.push(path);
    return found;
  };
  const request = { type: "dataset", repo, revision: PARQUET_REVISION, wanted } as const;
  const { folder, commit } = await downloadSnapshot(request);
  // Without the Hub's list, as offline, the folder says which files there are.
  if (files.length === 0) files.push(...await filesBelow(folder, isOfSplit));
  if (files.length === 0) {
    throw dataError(`It has no split ${split}`, `${repo} at ${commit}`, "check the dataset's page");
  }
  return { paths: files.toSorted().map((path) => join(folder, path)), revision: `${repo}@${commit}` };
}

/** Paths of the wanted files of a snapshot, from its folder. */
async function filesBelow(
  folder: string,
  wanted: (path: string, all: readonly string[]) => boolean,
): Promise<string[]> {
  const paths: string[] = [];
  const visit = async (prefix: string) => {
    for await (const { name, isDirectory } of Deno.readDir(join(folder, prefix))) {
      const path = prefix === "" ? name : `${prefix}/${name}`;
      if (isDirectory) await visit(path);
      else paths.push(path);
    }
  };
  await visit("");
  return paths.toSorted().filter((path, _, all) => wanted(path, all));
}
