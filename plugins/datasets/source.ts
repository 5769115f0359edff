/** Rows of a dataset's source: files on this machine, or Parquet from the Hugging Face Hub. */
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import {
  dataError,
  type DatasetRequest,
  downloadSnapshot,
  exists,
  hashFile,
  readText,
  UserError,
} from "../../core/mod.ts";
import type { DatasetSpec } from "./spec.ts";

/** One row and where it stands, for messages. */
export interface DataRow {
  /** Values by column. */
  readonly values: Readonly<Record<string, unknown>>;
  /** File, and line or row from 1. */
  readonly where: string;
}

const EXTENSIONS = ["parquet", "jsonl"] as const;

/** The revision that the Hub keeps of every dataset as Parquet, also of those that only have a loading script. */
const PARQUET_REVISION = "refs/convert/parquet";

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
  for (const path of paths) yield* path.endsWith(".jsonl") ? readJsonLines(path) : readParquet(path);
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

/** A file below `--data-dir` comes before the Hub. */
async function locate(spec: DatasetSpec, split: string, { dataDir }: DatasetRequest): Promise<Located> {
  const { name, source } = spec;
  const folder = dataDir === undefined ? undefined : join(dataDir, name);
  for (const extension of folder === undefined ? [] : EXTENSIONS) {
    const path = join(folder!, `${split}.${extension}`);
    if (await exists(path)) return { paths: [path], revision: await hashFile(path) };
  }
  try {
    return await download(spec, split);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw dataError(
      `The ${split} split of ${name} is not on this machine, and cannot be downloaded: ${error.what}`,
      `${folder ?? "no --data-dir is given"}, ${source.repo} on the Hugging Face Hub`,
      `${error.fix}; or put it at <data-dir>/${name}/${split}.parquet or .jsonl`,
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

async function* readJsonLines(path: string): AsyncIterable<DataRow> {
  const lines = (await readText(path)).split("\n");
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const where = `${path}, line ${index + 1}`;
    let values: unknown;
    try {
      values = JSON.parse(line);
    } catch (error) {
      throw dataError("Not a line of JSON", where, "write one JSON object a line", error);
    }
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw dataError("The line is not a JSON object", where, "write one JSON object a line");
    }
    yield { values: values as Record<string, unknown>, where };
  }
}

async function* readParquet(path: string): AsyncIterable<DataRow> {
  let rows: Record<string, unknown>[];
  try {
    const { buffer } = await Deno.readFile(path);
    rows = await parquetReadObjects({ file: buffer, compressors });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(`Not a readable Parquet file: ${reason}`, path, "download the dataset again", error);
  }
  for (const [index, values] of rows.entries()) {
    const where = `${path}, row ${index + 1}`;
    yield { values: plain(values, where) as Record<string, unknown>, where };
  }
}

/** The same with whole numbers of 64 bits as numbers. @throws {UserError} of kind `data` for one that is none */
function plain(value: unknown, where: string): unknown {
  if (typeof value === "bigint") {
    if (Number.isSafeInteger(Number(value))) return Number(value);
    throw dataError(`The number ${value} is too large`, where, "store it as a text");
  }
  if (Array.isArray(value)) return value.map((item) => plain(item, where));
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) {
    return value;
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item, where)]));
}
