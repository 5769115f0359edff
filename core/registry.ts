import { toFileUrl } from "./paths.ts";
import { suggestion, UserError } from "./errors.ts";
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
      throw unloadable
        ? fail(`Cannot load the plugin module: ${reason}`, "check the path or specifier", "usage", error)
        : fail(`The plugin module threw while loading: ${reason}`, "correct the module", "plugin", error);
    }
    if (module.default === undefined) {
      throw fail(
        "The plugin module has no default export",
        "export default a plugin, or an array of them",
        "plugin",
      );
    }
    const plugins = (Array.isArray(module.default) ? module.default : [module.default]) as Plugin[];
    for (const plugin of plugins) {
      check(plugin, specifier);
      if (!plugin.name.includes("/")) {
        const fix = `call it "<your name>/${plugin.name}"`;
        throw fail(`The plugin name "${plugin.name}" has no namespace`, fix, "plugin");
      }
      this.add(plugin, specifier);
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
  const { kind, name, version, defaults } = (plugin ?? {}) as Partial<Plugin>;
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
  if (!Number.isInteger(version) || version! < 1) {
    throw fail(`Plugin "${name}" has no whole version`, "give it a version, from 1");
  }
  if (typeof defaults !== "object" || defaults === null) {
    throw fail(`Plugin "${name}" has no defaults`, "list its options and their defaults, {} for none");
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
}
