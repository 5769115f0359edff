/** Datasets that nobody may pass on: their file is asked for at their home, and put here by hand. */
import { join } from "node:path";
import { dataError, type DatasetRequest, exists, hubHome, readCsv, type UserError } from "../../core/mod.ts";
import type { DataRow } from "./source.ts";

/** A file that is put into its place by hand. */
export interface ManualFile {
  /** Its folder below that of the datasets. */
  readonly folder: string;
  /** Its name, as it is given out. */
  readonly file: string;
  /** How its name begins, whatever copy it is. */
  readonly begins: string;
  /** Where to ask for it. */
  readonly page: string;
  /** Columns it must have. */
  readonly columns: readonly string[];
}

/** Where the file is, if it is here: below `--data-dir`, or below `datasets` in the folder of the Hugging Face Hub. */
export async function findManual(
  { folder, begins }: ManualFile,
  request: DatasetRequest,
): Promise<string | undefined> {
  for (const root of rootsOf(request)) {
    const place = join(root, folder), names: string[] = [];
    if (await exists(place)) { for await (const { name } of Deno.readDir(place)) names.push(name); }
    const [found] = names.filter((name) => name.startsWith(begins) && name.endsWith(".csv")).sort();
    if (found !== undefined) return join(place, found);
  }
}

/** Its rows. */
export async function* readManual({ columns }: ManualFile, path: string): AsyncIterable<DataRow> {
  for (const [index, values] of (await readCsv(path, columns)).entries()) {
    yield { values, where: `${path}, row ${index + 1}` };
  }
}

/** Says where to get the file, and where to put it. */
export function missingManual(
  name: string,
  { folder, file, page }: ManualFile,
  request: DatasetRequest,
): UserError {
  const places = rootsOf(request).map((root) => join(root, folder));
  return dataError(
    `${name} is given out on request only, and is not on this machine`,
    places.join(" or "),
    `ask for it at ${page}, and put the file "${file}" into ${places[0]}`,
  );
}

function rootsOf({ dataDir }: DatasetRequest): readonly string[] {
  return [...(dataDir === undefined ? [] : [dataDir]), join(hubHome(), "datasets")];
}
