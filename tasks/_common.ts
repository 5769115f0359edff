import { join } from "node:path";
import {
  CHAT_USES,
  type ChatUse,
  dataError,
  type Dataset,
  type DatasetRequest,
  type Json,
  nearest,
  type PromptStyle,
  resolveOptions,
  RunFolder,
  type Split,
  splitName,
  SPLITS,
  suggestion,
  UserError,
} from "../core/mod.ts";
import { WEIGHT_TYPES, type WeightType } from "../model/weights.ts";
import { defineFlags } from "./_flags.ts";
import { note } from "./_io.ts";
import { datasetNamed, decisiveOptions } from "./_options.ts";
import type { Session } from "./_session.ts";

/** Flags of every task that reads a dataset. */
export const RUN_FLAGS = defineFlags({
  "log-dir": { type: "string", help: "folder of the run (runs/<date and time>)" },
  "data-dir": { type: "string", help: "where datasets lie on this machine" },
  "model-name": { type: "string", help: "alias, hf:owner/name[@revision] or folder", required: true },
  "dtype": { type: "string", help: "weights: auto (as stored), int8 or int4", default: "auto" },
  "seed": { type: "number", help: "the same seed gives the same results", default: 137, least: 0 },
  "limit": { type: "number", help: "rows of each split to read at most", least: 1 },
  "plugin": {
    type: "string",
    help: "module to load first: path, jsr: or npm:; repeatable",
    repeatable: true,
  },
});

/** Flag of every task that words questions. */
export const SHUFFLE_FLAG = defineFlags({
  "shuffle-choices": {
    type: "number",
    help: "seed that shuffles each question's choices",
    least: 0,
  },
});

/** Flag of every task in which models answer. */
export const CHAT_FLAG = defineFlags({
  "chat": {
    type: "string",
    help: "answer in its chat template: auto, on, off",
    default: "auto",
  },
});

/** What `--chat` says. @throws {UserError} of kind `usage` for another value */
export function chooseChat(text: string): ChatUse {
  const found = CHAT_USES.find((use) => use === text);
  if (found) return found;
  throw new UserError({
    kind: "usage",
    what: `--chat is "${text}"`,
    where: "--chat",
    fix: suggestion(text, CHAT_USES),
  });
}

/** Flag of every task whose methods may read hidden states. */
export const CACHE_FLAG = defineFlags({
  "cache-dir": { type: "string", help: "where hidden states are kept for all runs" },
});

/** A dataset as the user named it, resolved. */
export interface FoundDataset {
  /** As typed, or as a collection expanded to. */
  readonly name: string;
  readonly dataset: Dataset;
  readonly request: DatasetRequest;
}

/** The same, and what its data are. */
export interface ChosenDataset extends FoundDataset {
  /** What identifies the data in `run.json`. */
  readonly about: Json;
}

/** The type of weights that `--dtype` names. @throws {UserError} of kind `usage` for another */
export function chooseDtype(text: string): WeightType {
  const found = WEIGHT_TYPES.find((type) => type === text);
  if (found) return found;
  throw new UserError({
    kind: "usage",
    what: `Unknown type of weights "${text}"`,
    where: "--dtype",
    fix: suggestion(text, WEIGHT_TYPES),
  });
}

/** Opens the run folder that `--log-dir` names, or a new one named by the time. */
export async function openRun(logDir: string | undefined): Promise<RunFolder> {
  const now = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  return await RunFolder.open(logDir ?? join("runs", now));
}

/** Resolves `name:argument`, and a collection to its members, and says what identifies the data. */
export async function chooseDatasets(
  session: Session,
  text: string,
  place: DatasetPlace,
): Promise<readonly ChosenDataset[]> {
  const found = await findDatasets(session, text, place);
  return await Promise.all(found.map((dataset) => identify(session, dataset)));
}

/** The only dataset of a name. @throws {UserError} of kind `usage` for a collection */
export async function chooseDataset(
  session: Session,
  text: string,
  place: DatasetPlace,
): Promise<ChosenDataset> {
  return await identify(session, onlyOne(text, await findDatasets(session, text, place)));
}

async function identify(session: Session, found: FoundDataset): Promise<ChosenDataset> {
  const { dataset, request } = found;
  const revision = await dataset.revision?.(request) ?? "";
  const options = decisiveOptions(dataset, request.options);
  const about = {
    ...asRecord(session.describe(dataset)),
    argument: request.argument,
    ...(Object.keys(options).length > 0 && { options }),
    revision,
  };
  return { ...found, about };
}

/** Where datasets lie, what they are for, and their options as they were given. */
interface DatasetPlace {
  readonly dataDir?: string;
  readonly promptStyle?: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/**
 * Resolves `name:argument`, and a collection to its members, one or more; nothing is read.
 *
 * @throws {UserError} of kind `usage` for an unknown name or a wrong argument, `data` for a collection without members
 */
export async function findDatasets(
  session: Session,
  text: string,
  { dataDir, promptStyle, options: given = {} }: DatasetPlace,
): Promise<readonly FoundDataset[]> {
  const { name, argument } = splitName(text);
  const plugin = datasetNamed(session, text);
  if (plugin.argument === undefined && argument !== "") {
    throw new UserError({
      kind: "usage",
      what: `Dataset "${name}" takes nothing behind a colon, but got "${argument}"`,
      where: `--dataset=${text}`,
      fix: `use --dataset=${name}`,
    });
  }
  if (plugin.argument !== undefined && argument === "") {
    throw new UserError({
      kind: "usage",
      what: `Dataset "${name}" needs something behind a colon`,
      where: `--dataset=${text}`,
      fix: `add it: ${plugin.argument}`,
    });
  }
  const told = new Set<string>();
  const warn = (text: string) => {
    if (!told.has(text)) note(text);
    told.add(text);
  };
  if (promptStyle !== undefined) chooseStyle(session, promptStyle);
  const options = resolveOptions(plugin, given);
  const request: DatasetRequest = { argument, options, dataDir, promptStyle, warn };
  if (plugin.expand) {
    const names = await plugin.expand(request);
    const members = await Promise.all(
      names.map((name) => findDatasets(session, name, { dataDir, promptStyle })),
    );
    if (members.length > 0) return members.flat();
    throw dataError(
      `${text} stands for no dataset`,
      `--dataset=${text}`,
      "check where its datasets should lie, as --data-dir",
    );
  }
  return [{ name: text, dataset: plugin, request }];
}

/** Refuses a collection. */
export function onlyOne(name: string, datasets: readonly FoundDataset[]): FoundDataset {
  if (datasets.length === 1) return datasets[0];
  throw new UserError({
    kind: "usage",
    what: `${name} is a collection of ${datasets.length} datasets`,
    where: `--dataset=${name}`,
    fix: `name one of them, as in ${datasets[0].name}; deno task evaluate and data validate take all`,
  });
}

/** Refuses a benchmark as training data. */
export function checkTrainable({ name, dataset }: ChosenDataset): void {
  if (dataset.tags.includes("train")) return;
  throw new UserError({
    kind: "usage",
    what: `Dataset "${name}" is for evaluation only`,
    where: `--dataset=${name}`,
    fix: "train on another dataset: training on a benchmark would make its results worthless",
  });
}

/** The prompt style by name. */
export function chooseStyle(session: Session, name: string): PromptStyle {
  return session.registry.get("prompt-style", name).plugin;
}

/** Splits from a list such as `train,validation`; all of the dataset's if there is none. */
export function chooseSplits(
  text: string | undefined,
  dataset: Dataset,
  flag = "--splits",
): readonly Split[] {
  if (text === undefined) return SPLITS.filter((split) => dataset.splits.includes(split));
  return text.split(",").map((name) => {
    const split = SPLITS.find((split) => split === name.trim());
    if (split && dataset.splits.includes(split)) return split;
    const near = nearest(name, dataset.splits);
    throw new UserError({
      kind: "usage",
      what: `Dataset "${dataset.name}" has no split "${name}"`,
      where: flag,
      fix: near ? `did you mean "${near}"?` : `use some of ${dataset.splits.join(",")}`,
    });
  });
}

function asRecord(value: Json): Readonly<Record<string, Json>> {
  return value as Readonly<Record<string, Json>>;
}

/** What `run.json` keeps about the circumstances of a stage; none of it decides the result on the same adapter. */
export async function aboutRun(session: Session): Promise<Readonly<Record<string, Json>>> {
  const { adapter } = await session.gpu();
  return {
    command: session.command,
    deno: Deno.version.deno,
    adapter: { description: adapter.description, family: adapter.family, lanes: adapter.lanes },
  };
}

/** Tells that a stage was there already. */
export function announceSkip(stage: string): string {
  note(`${stage}: inputs unchanged, skipped`);
  return stage;
}
