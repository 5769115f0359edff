/** Tables in a repository of the Hugging Face Hub: `hf:owner/name[@revision][:configuration]`. */
import { join } from "node:path";
import {
  dataError,
  downloadSnapshot,
  type HubName,
  listSnapshot,
  parseHubName,
  type Split,
  SPLITS,
  UserError,
} from "../../core/mod.ts";
import { groupBySplit, type SplitFiles, splitNamed } from "./table_files.ts";
import { tableFormat } from "./tables/mod.ts";

/** The revision that the Hub keeps of every dataset as Parquet, also of those that only have a loading script. */
export const PARQUET_REVISION = "refs/convert/parquet";

/** The files of a repository by split, and the commit they are of. */
export interface HubTables {
  readonly files: SplitFiles;
  /** Repository and commit. */
  readonly revision: string;
}

/**
 * Finds the tables of `owner/name[@revision][:configuration]`: those that the Hub has made of it as Parquet, or, at a
 * revision that is named and where there are none, its own Parquet, JSON Lines and CSV files, by their names.
 *
 * @throws {UserError} of kind `data` if there are none, or several configurations and none is named
 */
export async function findHubTables(argument: string): Promise<HubTables> {
  const [, name, configuration] = /^([^:]*)(?::(.*))?$/.exec(argument) ?? [];
  const asked = parseHubName(`hf:${name ?? argument}`);
  if (asked.revision === "main") {
    const converted = await listed({ ...asked, revision: PARQUET_REVISION });
    const found = converted && convertedFiles(converted.paths, argument, configuration);
    if (found) return tablesOf({ ...asked, revision: PARQUET_REVISION }, converted.commit, found);
  }
  const { commit, paths } = await listSnapshot({ type: "dataset", ...asked });
  return tablesOf(asked, commit, ownFiles(paths, argument, configuration));
}

/** What a revision holds; nothing if it is not there. */
async function listed(asked: HubName) {
  try {
    return await listSnapshot({ type: "dataset", ...asked });
  } catch (error) {
    // Whatever is wrong with the repository itself is said when its own files are listed.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** Paths by split. */
type Found = Readonly<Partial<Record<Split, readonly string[]>>>;

function tablesOf(asked: HubName, commit: string, found: Found): HubTables {
  const files = Object.fromEntries(SPLITS.flatMap((split) => {
    const paths = found[split];
    if (paths === undefined) return [];
    let folder: Promise<string> | undefined;
    const download = async () => {
      const wanted = (path: string) => paths.includes(path);
      return (await downloadSnapshot({ type: "dataset", ...asked, wanted })).folder;
    };
    return [[
      split,
      paths.map((path) => ({
        name: `hf:${asked.repo}@${commit.slice(0, 7)}/${path}`,
        format: tableFormat(path)!,
        locate: async () => join(await (folder ??= download()), path),
      })),
    ]];
  }));
  return { files, revision: `${asked.repo}@${commit}` };
}

/** Files at `<configuration>/<split>/<number>.parquet`; nothing where the Hub has converted a part only, or nothing. */
function convertedFiles(
  paths: readonly string[],
  argument: string,
  configuration: string | undefined,
): Found | undefined {
  const parts = paths.filter((path) => path.endsWith(".parquet")).map((path) => path.split("/"))
    .filter(({ length }) => length === 3);
  if (parts.length === 0 || parts.some(([, split]) => split.startsWith("partial-"))) return undefined;
  const chosen = chooseConfiguration([...new Set(parts.map(([name]) => name))], argument, configuration);
  const own = parts.filter(([name]) => name === chosen);
  const bySplit = groupBySplit(
    own.filter(([, split]) => splitNamed(split) !== undefined).map((path) => path.join("/")),
  );
  if (Object.keys(bySplit).length > 0) return bySplit;
  throw noSplits([...new Set(own.map(([, split]) => split))], argument);
}

function chooseConfiguration(names: readonly string[], argument: string, given: string | undefined): string {
  const [only] = names;
  if (given === undefined && (names.length === 1 || names.includes("default"))) {
    return names.length === 1 ? only : "default";
  }
  if (given !== undefined && names.includes(given)) return given;
  const some = names.slice(0, 20).join(", "),
    more = names.length > 20 ? ` and ${names.length - 20} more` : "";
  throw dataError(
    given === undefined ? "It has several configurations" : `It has no configuration "${given}"`,
    `--dataset=hf:${argument}`,
    `name one as in hf:${argument.split(":")[0]}:${only}; there are ${some}${more}`,
  );
}

/** The repository's own tables, all of one format; those of a configuration lie in a folder of its name. */
function ownFiles(paths: readonly string[], argument: string, configuration: string | undefined): Found {
  const inside = paths.filter((path) =>
    tableFormat(path) !== undefined &&
    (configuration === undefined || path.split("/").slice(0, -1).includes(configuration))
  );
  if (inside.length === 0) {
    const wanted = configuration === undefined ? "" : ` in a folder "${configuration}"`;
    throw dataError(
      `It has no Parquet, JSON Lines or CSV file${wanted}`,
      `--dataset=hf:${argument}, which has ${paths.slice(0, 8).join(", ") || "nothing"}`,
      "check the dataset's page for its configurations",
    );
  }
  const formats = ["parquet", "jsonl", "csv", "tsv"] as const;
  const format = formats.find((format) => inside.some((path) => tableFormat(path) === format));
  const found = groupBySplit(inside.filter((path) => tableFormat(path) === format));
  if (Object.keys(found).length > 0) return found;
  throw noSplits(inside, argument);
}

function noSplits(names: readonly string[], argument: string): Error {
  return dataError(
    "It has no split called train, validation or test, nor what is usual for them",
    `--dataset=hf:${argument}, which has ${names.slice(0, 8).join(", ")}`,
    "download the files, and name them as in parquet:test=<path>",
  );
}
