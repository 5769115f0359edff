import { join } from "node:path";
import {
  dataError,
  type Dataset,
  type DatasetRequest,
  exists,
  hashFile,
  readRows,
  type Split,
  SPLITS,
  UserError,
} from "../../core/mod.ts";

/** Rows that an earlier stage wrote: `offline:<folder>` with `<folder>/<split>/*.csv`. */
export const offline: Dataset = {
  kind: "dataset",
  name: "offline",
  version: 1,
  description: "Answers or labels that an earlier stage wrote, as CSV files in a folder",
  argument: "folder that holds train/, validation/ or test/",
  defaults: {},
  tags: ["train", "eval"],
  splits: SPLITS,
  async available(request) {
    const folder = await folderOf(request);
    const there = await Promise.all(SPLITS.map((split) => isFolder(join(folder, split))));
    return SPLITS.filter((_, index) => there[index]);
  },
  async *read(split, request) {
    const taken = new Set<string>();
    for (const path of await filesOf(split, request)) {
      for (const row of await readRows(path, split)) yield { ...row, id: claimId(row.id, taken) };
    }
  },
  async revision(request) {
    const hashes: string[] = [];
    for (const split of SPLITS) {
      if (!await exists(join(await folderOf(request), split))) continue;
      for (const path of await filesOf(split, request)) hashes.push(`${split}:${await hashFile(path)}`);
    }
    return hashes.join(" ");
  },
};

/** Ids are made of a row's texts, so a row that stands in two files needs another in the second. */
function claimId(id: string, taken: Set<string>): string {
  let free = id;
  for (let copy = 1; taken.has(free); copy++) free = `${id}-copy${copy}`;
  taken.add(free);
  return free;
}

/** The folder itself, or the seed's `<data-dir>/offline/<name>-<style>`. */
async function folderOf({ argument, dataDir, promptStyle }: DatasetRequest): Promise<string> {
  if (argument === "") {
    throw new UserError({
      kind: "usage",
      what: "offline needs a folder",
      where: "--dataset=offline",
      fix: "name it, as in offline:runs/demo/labels",
    });
  }
  if (await isFolder(argument)) return argument;
  const seeds = dataDir && promptStyle ? join(dataDir, "offline", `${argument}-${promptStyle}`) : undefined;
  if (seeds && await isFolder(seeds)) return seeds;
  throw dataError(
    `There is no folder ${argument}${seeds ? ` and no ${seeds}` : ""}`,
    `--dataset=offline:${argument}`,
    "check the path, or run the stage that writes it first",
  );
}

async function isFolder(path: string): Promise<boolean> {
  return await exists(path) && (await Deno.stat(path)).isDirectory;
}

async function filesOf(split: Split, request: DatasetRequest): Promise<readonly string[]> {
  const folder = await folderOf(request);
  const path = join(folder, split);
  const names: string[] = [];
  if (await isFolder(path)) {
    for await (const { name, isFile } of Deno.readDir(path)) {
      if (isFile && name.endsWith(".csv")) names.push(name);
    }
  }
  if (names.length === 0) {
    const splits: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(folder)) if (isDirectory) splits.push(name);
    throw dataError(
      `There is no ${split} split`,
      path,
      splits.length > 0 ? `the folder has ${splits.sort().join(", ")}` : "run the stage that writes it first",
    );
  }
  return names.sort().map((name) => join(path, name));
}
