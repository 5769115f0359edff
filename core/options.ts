import { suggestion, UserError } from "./errors.ts";
import type { Options, PluginBase } from "./types.ts";

/** `loraRank` as users type it on a command line: `lora-rank`. */
export function flagName(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * The options of a plugin: its defaults, overridden by what is given.
 *
 * A value given as text, as on a command line, is turned into the type of the default.
 *
 * @throws {UserError} of kind `usage` for an unknown key, a value of another type, or one that the plugin refuses
 */
export function resolveOptions<O extends Options>(
  plugin: PluginBase<O>,
  given: Readonly<Record<string, unknown>>,
): O {
  const defaults = plugin.defaults as Record<string, unknown>;
  const where = `options of ${plugin.kind} "${plugin.name}"`;
  const resolved = { ...defaults };
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, key)) {
      const names = Object.keys(defaults);
      const fix = names.length > 0 ? suggestion(key, names) : "it has no options";
      throw new UserError({ kind: "usage", what: `Unknown option "${key}"`, where, fix });
    }
    resolved[key] = coerce(value, defaults[key], () =>
      new UserError({
        kind: "usage",
        what: `Option "${key}" is ${JSON.stringify(value)}`,
        where,
        fix: `give a ${describeType(defaults[key])}, as in ${JSON.stringify(defaults[key])}`,
      }));
  }
  plugin.check?.(resolved as O);
  return resolved as O;
}

/** A key of a plugin's options, whether its value will do, and what is wanted. */
export type OptionLimit<O extends Options> = readonly [
  key: keyof O & string,
  holds: boolean,
  wanted: string,
];

/** Refuses the first value that will not do. @throws {UserError} of kind `usage` */
export function checkOptions<O extends Options>(
  { kind, name }: Pick<PluginBase, "kind" | "name">,
  options: O,
  limits: readonly OptionLimit<O>[],
): void {
  for (const [key, holds, wanted] of limits) {
    if (holds) continue;
    throw new UserError({
      kind: "usage",
      what: `Option "${key}" is ${JSON.stringify(options[key])}`,
      where: `options of ${kind} "${name}"`,
      fix: `give ${wanted}`,
    });
  }
}

function coerce(value: unknown, like: unknown, refuse: () => Error): unknown {
  if (Array.isArray(like)) {
    const list = typeof value === "string"
      ? value.split(",").map((item) => item.trim()).filter(Boolean)
      : value;
    if (!Array.isArray(list)) throw refuse();
    return list;
  }
  if (typeof like === "number") {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isFinite(number)) throw refuse();
    return number;
  }
  if (typeof like === "boolean") {
    if (typeof value === "boolean") return value;
    if (value === "true" || value === "false") return value === "true";
    throw refuse();
  }
  if (typeof value !== typeof like) throw refuse();
  return value;
}

function describeType(like: unknown): string {
  return Array.isArray(like) ? "comma-separated list" : typeof like === "string" ? "text" : typeof like;
}
