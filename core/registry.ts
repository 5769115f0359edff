import { suggestion, UserError } from "./errors.ts";
import { guarded } from "./guard.ts";
import { toFileUrl } from "./paths.ts";
import { SPLITS } from "./records.ts";
import type {
  Dataset,
  Labeler,
  Method,
  Metric,
  ModelFamily,
  Plugin,
  PluginKind,
  PromptStyle,
  RemoteModel,
} from "./types.ts";

/** The plugin type of each kind. */
export interface PluginByKind {
  /** Sources of questions. */
  "dataset": Dataset;
  /** Ways to put a question. */
  "prompt-style": PromptStyle;
  /** Verdicts on answers. */
  "labeler": Labeler;
  /** Ways to train and to ask for confidence. */
  "method": Method;
  /** Numbers about confidences. */
  "metric": Metric;
  /** Transformer families, and models behind an API. */
  "model": ModelFamily | RemoteModel;
}

/** Whether a plugin is of models that this program runs itself, not of ones behind an API. */
export function isModelFamily(plugin: Plugin): plugin is ModelFamily {
  return plugin.kind === "model" && "describe" in plugin;
}

/** A plugin with where it came from. */
export interface Registered<P extends Plugin = Plugin> {
  /** As its module exports it. */
  readonly plugin: P;
  /** "built-in", or the specifier of the module it was loaded from. */
  readonly origin: string;
}

/** Functions that a plugin of each kind must have. */
const REQUIRED: Readonly<Record<PluginKind, readonly string[]>> = {
  "dataset": [],
  "prompt-style": ["render", "cleanUp"],
  "labeler": [],
  "method": ["predict"],
  "metric": ["compute"],
  "model": [],
};

/** A field that a plugin must have, whether a value will do, and what is wanted. */
type Wanted = readonly [key: string, holds: (value: unknown) => boolean, wanted: string];

const someOf = (list: readonly unknown[]) => (value: unknown) =>
  Array.isArray(value) && value.length > 0 && value.every((item) => list.includes(item));

const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isOption = (value: unknown) => ["number", "string", "boolean"].includes(typeof value) || isTexts(value);

/** What else a plugin of any kind, and of each kind, must have. */
const EVERY: readonly Wanted[] = [
  ["version", (value) => Number.isInteger(value) && (value as number) >= 1, "a whole number from 1"],
  ["description", (value) => typeof value === "string" && value.trim() !== "", "a line of text"],
  [
    "defaults",
    (value) => isRecord(value) && Object.values(value).every(isOption),
    "its options with their defaults, each a number, a text, a switch or a list of texts; {} for none",
  ],
];

const OF_KIND: Readonly<Partial<Record<PluginKind, readonly Wanted[]>>> = {
  "dataset": [
    ["tags", someOf(["train", "eval"]), '["train", "eval"], or one of them'],
    ["splits", someOf(SPLITS), `some of ${JSON.stringify(SPLITS)}`],
  ],
  "prompt-style": [
    [
      "maxNewTokens",
      (value) => Number.isInteger(value) && (value as number) >= 1,
      "a whole number from 1",
    ],
  ],
  "metric": [["better", (value) => value === "higher" || value === "lower", '"higher" or "lower"']],
};

/** Those of a model that this program runs itself. */
const OF_FAMILY: readonly Wanted[] = [
  ["modelTypes", isTexts, "a list of texts"],
  ["aliases", isRecord, "names and what they stand for, {} for none"],
];

/**
 * The plugins of one run. An instance, not a global, so that runs and tests do not see each other's plugins.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { builtins, Registry } from "@credence/credence";
 *
 * const registry = new Registry();
 * for (const plugin of builtins) registry.add(plugin, "built-in");
 * assertEquals(registry.get("metric", "ece").plugin.better, "lower");
 * ```
 */
export class Registry {
  readonly #plugins = new Map<PluginKind, Map<string, Registered>>();

  /** Adds a plugin. @throws {UserError} if it is malformed, or its name is taken */
  add(plugin: Plugin, origin: string): void {
    check(plugin, origin);
    let named = this.#plugins.get(plugin.kind);
    if (!named) this.#plugins.set(plugin.kind, named = new Map());
    const taken = named.get(plugin.name);
    if (taken) {
      throw new UserError({
        kind: "usage",
        what: `Two plugins share the name "${plugin.name}": one from ${taken.origin}, one from ${origin}`,
        where: `${plugin.kind} plugins`,
        fix: "rename one of them, or load only one",
      });
    }
    named.set(plugin.name, { plugin, origin });
  }

  /**
   * Loads a module and adds the plugins of its default export. The module runs with this program's permissions.
   *
   * @param specifier a path, resolved from the current folder, or a `jsr:`, `npm:` or `https:` specifier
   * @returns the plugins that were added
   */
  async load(specifier: string): Promise<readonly Plugin[]> {
    const fail = (what: string, fix: string, kind: "usage" | "plugin", cause?: unknown) =>
      new UserError({ kind, what, where: `--plugin ${specifier}`, fix, cause });
    let module: { default?: unknown };
    try {
      module = await import(/^[a-z]+:/.test(specifier) ? specifier : toFileUrl(specifier).href);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // Deno gives this code to whatever keeps a module from being run: it is missing, unreachable or not parsed.
      const unloadable = (error as { code?: unknown } | null)?.code === "ERR_MODULE_NOT_FOUND";
      // Where the module is there, the reason ends with the place in it, or in one that it imports.
      const fix = /\n\s+at \S+:\d+:\d+/.test(reason)
        ? "correct the module at that place"
        : "check the path or specifier";
      throw unloadable
        ? fail(`Cannot load the plugin module: ${reason}`, fix, "usage", error)
        : fail(`The plugin module threw while loading: ${reason}`, "correct the module", "plugin", error);
    }
    const found = (Array.isArray(module.default) ? module.default : [module.default]) as Plugin[];
    if (module.default === undefined || found.length === 0) {
      const lacks = module.default === undefined ? "has no default export" : "exports an empty list";
      throw fail(
        `The plugin module ${lacks}`,
        "export default a plugin, or an array of them",
        "plugin",
      );
    }
    const plugins: Plugin[] = [];
    for (const plugin of found) {
      check(plugin, specifier);
      if (!plugin.name.includes("/")) {
        const fix = `call it "<your name>/${plugin.name}"`;
        throw fail(`The plugin name "${plugin.name}" has no namespace`, fix, "plugin");
      }
      const own = guarded(plugin, specifier);
      this.add(own, specifier);
      plugins.push(own);
    }
    return plugins;
  }

  /** A plugin by name. @throws {UserError} of kind `usage`, naming the nearest name, if there is none */
  get<K extends PluginKind>(kind: K, name: string): Registered<PluginByKind[K]> {
    const found = this.#plugins.get(kind)?.get(name);
    if (!found) {
      throw new UserError({
        kind: "usage",
        what: `Unknown ${kind} "${name}"`,
        where: `${kind} plugins`,
        fix: suggestion(name, this.list(kind).map(({ plugin }) => plugin.name)),
      });
    }
    return found as Registered<PluginByKind[K]>;
  }

  /** All plugins of a kind, in the order they were added. */
  list<K extends PluginKind>(kind: K): readonly Registered<PluginByKind[K]>[] {
    return [...(this.#plugins.get(kind)?.values() ?? [])] as unknown as Registered<PluginByKind[K]>[];
  }
}

/** Splits `name:argument` at its first colon. */
export function splitName(text: string): { name: string; argument: string } {
  const colon = text.indexOf(":");
  return colon < 0
    ? { name: text, argument: "" }
    : { name: text.slice(0, colon), argument: text.slice(colon + 1) };
}

function check(plugin: Plugin, origin: string): void {
  const fail = (what: string, fix: string) => new UserError({ kind: "plugin", what, where: origin, fix });
  const { kind, name } = (plugin ?? {}) as Partial<Plugin>;
  const required = Object.hasOwn(REQUIRED, String(kind)) ? REQUIRED[kind as PluginKind] : undefined;
  if (!required) {
    throw fail(
      `A plugin is of kind ${JSON.stringify(kind)}`,
      `set its kind to one of ${Object.keys(REQUIRED).join(", ")}`,
    );
  }
  if (typeof name !== "string" || !/^[\w@.-]+(\/[\w.-]+)?$/.test(name)) {
    throw fail(
      `A ${kind} plugin is called ${JSON.stringify(name)}`,
      "give it a name of letters, digits, - and one /",
    );
  }
  const lacks = (key: string) => typeof (plugin as unknown as Record<string, unknown>)[key] !== "function";
  const missing = required.filter(lacks);
  if (kind === "dataset" && lacks("read") && lacks("expand")) missing.push("read");
  if (kind === "labeler" && lacks("label") && lacks("open")) missing.push("label");
  if (kind === "model" && lacks("describe") && lacks("open")) missing.push("describe");
  if (missing.length > 0) {
    throw fail(
      `Plugin "${name}" has no function ${missing.join(", ")}`,
      `see the ${kind} contract in docs/plugins.md`,
    );
  }
  const family = isModelFamily(plugin) ? OF_FAMILY : [];
  for (const [key, holds, wanted] of [...EVERY, ...OF_KIND[plugin.kind] ?? [], ...family]) {
    const value = (plugin as unknown as Record<string, unknown>)[key];
    if (holds(value)) continue;
    throw value === undefined
      ? fail(`Plugin "${name}" has no ${key}`, `give it ${wanted}`)
      : fail(`The ${key} of plugin "${name}" is ${JSON.stringify(value)}`, `give ${wanted}`);
  }
}
