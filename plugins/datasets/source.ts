/** Rows of a dataset's source: a file on this machine, in any of the usual formats. */
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { dataError, type DatasetRequest, exists, hashFile, readText } from "../../core/mod.ts";
import type { DatasetSpec } from "./spec.ts";

/** One row and where it stands, for messages. */
export interface DataRow {
  /** Values by column. */
  readonly values: Readonly<Record<string, unknown>>;
  /** File, and line or row from 1. */
  readonly where: string;
}

const EXTENSIONS = ["parquet", "jsonl"] as const;

/** The rows of a split of the source, in the order of the file. */
export async function* readSource(
  spec: DatasetSpec,
  split: string,
  request: DatasetRequest,
): AsyncIterable<DataRow> {
  const path = await locate(spec, split, request);
  if (path.endsWith(".jsonl")) yield* readJsonLines(path);
  else yield* readParquet(path);
}

/** Hashes of the files that the splits are read from. */
export async function sourceRevision(
  spec: DatasetSpec,
  splits: readonly string[],
  request: DatasetRequest,
): Promise<string> {
  const parts: string[] = [];
  for (const split of new Set([...splits, spec.shots])) {
    parts.push(`${split}:${await hashFile(await locate(spec, split, request))}`);
  }
  return parts.join(" ");
}

async function locate(spec: DatasetSpec, split: string, { dataDir }: DatasetRequest): Promise<string> {
  const { name, source } = spec;
  const folder = dataDir === undefined ? undefined : join(dataDir, name);
  for (const extension of folder === undefined ? [] : EXTENSIONS) {
    const path = join(folder!, `${split}.${extension}`);
    if (await exists(path)) return path;
  }
  throw dataError(
    `The ${split} split of ${name} is not on this machine`,
    folder ?? "no --data-dir is given",
    `download ${source.repo} from the Hugging Face Hub, and put it at <data-dir>/${name}/${split}.parquet or .jsonl`,
  );
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
