/** The options of plugins as flags of the command line. */
import {
  type Dataset,
  flagName,
  type Json,
  type Method,
  nearest,
  type Plugin,
  splitName,
  UserError,
} from "../core/mod.ts";
import { tableFormat } from "../plugins/mod.ts";
import { type FlagSet, type FlagValues, peekFlag } from "./_flags.ts";
import type { Session } from "./_session.ts";

/** A plugin's options as flags; none without a plugin. */
export function optionFlags(plugin: Plugin | undefined): FlagSet {
  if (plugin === undefined) return {};
  return Object.fromEntries(
    Object.entries(plugin.defaults).map(([key, value]) => [flagName(key), {
      type: typeof value === "number" ? "number" : typeof value === "boolean" ? "boolean" : "string",
      help: (plugin.help as Readonly<Record<string, string>> | undefined)?.[key] ??
        `option of ${plugin.name}`,
      optionOf: plugin.name,
      // An empty text stands for what is not there, which help need not show.
      default: value === "" ? undefined : Array.isArray(value) ? value.join(",") : value,
    }]),
  );
}

/** A plugin's options by name, from flags of which some may be another plugin's. */
export function optionsOf(plugin: Plugin | undefined, flags: FlagValues): FlagValues {
  const keys = new Map(Object.keys(plugin?.defaults ?? {}).map((key) => [flagName(key), key]));
  return Object.fromEntries(
    Object.entries(flags).filter(([flag]) => keys.has(flag)).map(([flag, value]) => [keys.get(flag)!, value]),
  );
}

/** Those of a plugin's resolved options that decide what comes out, for `run.json`. */
export function decisiveOptions(plugin: Plugin, options: object): Readonly<Record<string, Json>> {
  const incidental: readonly string[] = plugin.incidental ?? [];
  return Object.fromEntries(Object.entries(options).filter(([key]) => !incidental.includes(key)));
}

/** The method that a command line names, whose options are flags too. */
export async function peekMethod(
  args: readonly string[],
  session: Session,
  fallback: string,
): Promise<Method> {
  await session.loadPlugins(peekFlag(args, "plugin"));
  return session.registry.get("method", peekFlag(args, "method").at(-1) ?? fallback).plugin;
}

/** The dataset that a command line names, whose options are flags too; nothing where it names none. */
export async function peekDataset(args: readonly string[], session: Session): Promise<Dataset | undefined> {
  await session.loadPlugins(peekFlag(args, "plugin"));
  const text = peekFlag(args, "dataset").at(-1);
  return text === undefined ? undefined : datasetNamed(session, text);
}

/**
 * The dataset of `name:argument`.
 *
 * @throws {UserError} of kind `usage` for an unknown one; of a path, with the name that belongs in front of it
 */
export function datasetNamed(session: Session, text: string): Dataset {
  const { name } = splitName(text), names = session.registry.list("dataset").map(({ plugin }) => plugin.name);
  const format = tableFormat(text), isPath = format !== undefined || /[/\\]/.test(text);
  if (!isPath || nearest(name, names) !== undefined) return session.registry.get("dataset", name).plugin;
  throw new UserError({
    kind: "usage",
    what: `Unknown dataset "${text}"`,
    where: `--dataset=${text}`,
    fix: format === undefined
      ? `say what it is: offline:${text} for answers or labels in a folder, hf:${text} for a dataset of the Hub`
      : `say what it is: ${format === "tsv" ? "csv" : format}:${text}`,
  });
}
