/** Which files of a user's table belong to which split. */
import { join, relative } from "node:path";
import { dataError, exists, type Split, SPLITS, UserError } from "../../core/mod.ts";
import { type TableFormat, tableFormat } from "./tables/mod.ts";
import { fetchFile, isWebAddress } from "./tables/web.ts";

/** A file of a table. */
export interface TableFile {
  /** What messages call it: its path, or where it comes from. */
  readonly name: string;
  readonly format: TableFormat;
  /** Where it lies on this machine; what is elsewhere is fetched first. */
  locate(): Promise<string>;
}

/** A file that lies on this machine already. What is no file, as a device, might never end. */
function localFile(path: string, format: TableFormat): TableFile {
  const locate = async () => {
    if ((await Deno.stat(path)).isFile) return path;
    throw dataError("It is not a file", path, "name a file");
  };
  return { name: path, format, locate };
}

/** The files of each split that there is, in order. */
export type SplitFiles = Readonly<Partial<Record<Split, readonly TableFile[]>>>;

/** What the splits are called; where files have several of a split's names, the first counts. */
const NAMES: Readonly<Record<Split, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "val", "dev"],
  test: ["test", "testing", "eval", "evaluation"],
};

/** The split that a name stands for, if it does. */
export function splitNamed(name: string): Split | undefined {
  return SPLITS.find((split) => NAMES[split].includes(name.trim().toLowerCase()));
}

/**
 * Sorts paths by split: by the first word of a file's name that is one's name, as in `train-00000-of-00002.parquet`,
 * or of a folder's above it.
 */
export function groupBySplit(paths: readonly string[]): Readonly<Partial<Record<Split, readonly string[]>>> {
  const named = new Map<string, string[]>();
  for (const path of paths) {
    const words = path.split("/").toReversed().flatMap((part) => part.toLowerCase().split(/[^a-z]+/));
    const name = words.find((word) => splitNamed(word) !== undefined);
    if (name !== undefined) named.set(name, [...named.get(name) ?? [], path]);
  }
  return Object.fromEntries(SPLITS.flatMap((split) => {
    const name = NAMES[split].find((name) => named.has(name));
    return name === undefined ? [] : [[split, named.get(name)!.toSorted()]];
  }));
}

/**
 * The files that an argument names: a folder with files named by split, files of splits as in
 * `train=a.csv,test=b.csv`, or one file, which is the split that its name says, else the test split. A file may be on
 * the web.
 *
 * @param format what the files are written in
 * @throws {UserError} of kind `data` if there are none, `usage` if it names a split twice
 */
export async function findFiles(argument: string, format: TableFormat): Promise<SplitFiles> {
  if (/^[a-z]+=/.test(argument)) return await namedFiles(argument, format);
  if (await isFolder(argument)) return await filesInFolder(argument, format);
  const file = await oneFile(argument, format);
  const [name] = argument.split(isWebAddress(argument) ? /[?#]/ : /$/);
  const [split = "test"] = Object.keys(groupBySplit([name.split(/[/\\]/).at(-1)!])) as Split[];
  return { [split]: [file] };
}

async function namedFiles(argument: string, format: TableFormat): Promise<SplitFiles> {
  const files: Partial<Record<Split, readonly TableFile[]>> = {};
  for (const part of argument.split(",")) {
    const [name, ...rest] = part.split("="), split = splitNamed(name);
    if (split === undefined || rest.length === 0 || files[split]) {
      throw new UserError({
        kind: "usage",
        what: split && files[split]
          ? `The ${split} split is named twice`
          : `"${part}" is no split with its file`,
        where: `--dataset=${format}:${argument}`,
        fix: `write it as ${format}:train=<path>,validation=<path>,test=<path>, with any of them`,
      });
    }
    files[split] = [await oneFile(rest.join("="), format)];
  }
  return files;
}

async function oneFile(path: string, format: TableFormat): Promise<TableFile> {
  if (isWebAddress(path)) {
    const [name] = path.split(/[?#]/);
    return { name: path, format: nearestFormat(name, format), locate: () => fetchFile(path) };
  }
  if (!await exists(path)) {
    const fix = "check the path: a file, a folder with files named by split, or train=<path>,test=<path>";
    throw dataError(`There is no file ${path}`, `--dataset=${format}:${path}`, fix);
  }
  return localFile(path, nearestFormat(path, format));
}

/** CSV may have tabs, which its ending says. */
function nearestFormat(path: string, format: TableFormat): TableFormat {
  return format === "csv" && tableFormat(path) === "tsv" ? "tsv" : format;
}

async function filesInFolder(folder: string, format: TableFormat): Promise<SplitFiles> {
  const paths: string[] = [];
  const visit = async (path: string, depth: number) => {
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      const inside = join(path, name), found = tableFormat(name);
      if (isDirectory && depth > 0 && !name.startsWith(".")) await visit(inside, depth - 1);
      else if (found !== undefined && nearestFormat(name, format) === found) paths.push(inside);
    }
  };
  await visit(folder, 2);
  const inside = paths.map((path) => relative(folder, path).replaceAll("\\", "/"));
  const splits = Object.entries(groupBySplit(inside)) as [Split, readonly string[]][];
  if (splits.length === 0) {
    throw dataError(
      inside.length === 0 ? `There is no ${format} file in the folder` : "No file is named by a split",
      `${folder}${inside.length === 0 ? "" : `, with ${inside.slice(0, 5).join(", ")}`}`,
      `name files train.${format}, validation.${format} or test.${format}; or name them: ${format}:test=<path>`,
    );
  }
  return Object.fromEntries(
    splits.map(([split, names]) => [
      split,
      names.map((name) => localFile(join(folder, name), nearestFormat(name, format))),
    ]),
  );
}

async function isFolder(path: string): Promise<boolean> {
  return await exists(path) && (await Deno.stat(path)).isDirectory;
}
