import { parseArgs } from "@std/cli/parse-args";
import { suggestion, UserError } from "../core/mod.ts";

/** One flag of a task. */
export interface Flag {
  readonly type: "string" | "number" | "boolean";
  /** One line for `--help`. */
  readonly help: string;
  /** Value when the flag is not given; without one, the value is undefined. */
  readonly default?: string | number | boolean;
  readonly required?: boolean;
  /** May be given several times; its value is a list of texts. */
  readonly repeatable?: boolean;
}

/** Flags of a task, by name without dashes, as in `model-name`. */
export type FlagSet = Readonly<Record<string, Flag>>;

type Base<F extends Flag> = F["type"] extends "number" ? number
  : F["type"] extends "boolean" ? boolean
  : string;

type Value<F extends Flag> = F extends { readonly repeatable: true } ? readonly string[]
  : F extends { readonly required: true } ? Base<F>
  : F extends { readonly default: string | number | boolean } ? Base<F>
  : F["type"] extends "boolean" ? boolean
  : Base<F> | undefined;

/** The values of a set of flags. */
export type Values<S extends FlagSet> = { readonly [K in keyof S]: Value<S[K]> };

/** Declares flags, keeping their literal types. */
export function defineFlags<const S extends FlagSet>(flags: S): S {
  return flags;
}

/**
 * Reads a command line.
 *
 * @param extra flags that are only known at run time, such as a method's options
 * @throws {UserError} of kind `usage` for an unknown flag, naming the nearest, a missing or a malformed value
 */
export function parseFlags<S extends FlagSet>(
  command: string,
  flags: S,
  args: readonly string[],
  extra: FlagSet = {},
): { readonly values: Values<S>; readonly extra: Readonly<Record<string, string | number | boolean>> } {
  const all: FlagSet = { ...extra, ...flags };
  const names = Object.keys(all);
  const usage = (what: string, fix: string) => new UserError({ kind: "usage", what, where: command, fix });
  const given = new Set<string>();
  const parsed = parseArgs([...args], {
    // Numbers are read as texts, so that "--seed=abc" is refused instead of becoming NaN.
    string: names.filter((name) => all[name].type !== "boolean"),
    boolean: names.filter((name) => all[name].type === "boolean"),
    negatable: names.filter((name) => all[name].type === "boolean"),
    collect: names.filter((name) => all[name].repeatable),
    unknown(arg: string, key?: string) {
      if (key === undefined) throw usage(`Unexpected argument "${arg}"`, "give values as --flag=value");
      const fix = suggestion(key, names.toSorted());
      throw usage(`Unknown flag "--${key}"`, fix.replace(/"(.+)"\?$/, '"--$1"?'));
    },
  });
  for (const arg of args) {
    const name = /^--(?:no-)?([^=]+)/.exec(arg)?.[1];
    if (name) given.add(name);
  }
  const value = (name: string): unknown => {
    const flag = all[name], raw = (parsed as Record<string, unknown>)[name];
    if (flag.repeatable) return raw ?? [];
    if (!given.has(name)) {
      if (flag.required) throw usage(`--${name} is missing`, `give it: ${flag.help}`);
      return flag.default ?? (flag.type === "boolean" ? false : undefined);
    }
    if (flag.type === "boolean") return raw;
    if (typeof raw !== "string" || raw === "") {
      throw usage(`--${name} has no value`, `give it as --${name}=<${flag.type}>`);
    }
    if (flag.type === "string") return raw;
    const number = Number(raw);
    if (raw.trim() === "" || !Number.isFinite(number)) throw usage(`--${name} is "${raw}"`, "give a number");
    return number;
  };
  const pick = (set: FlagSet) => Object.fromEntries(Object.keys(set).map((name) => [name, value(name)]));
  const chosen = Object.fromEntries(
    Object.keys(extra).filter((name) => given.has(name)).map((
      name,
    ) => [name, value(name) as string | number | boolean]),
  );
  return { values: pick(flags) as Values<S>, extra: chosen };
}

/** The lines of `--help` for a set of flags. */
export function describeFlags(flags: FlagSet): string {
  const rows = Object.entries(flags).map(([name, flag]) => {
    const left = flag.type === "boolean"
      ? `--${name}`
      : `--${name}=<${flag.type === "number" ? "n" : "text"}>`;
    const note = flag.required ? " (required)" : flag.default !== undefined ? ` (${flag.default})` : "";
    return [left, `${flag.help}${note}`];
  });
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

/** Values of a flag before all flags are known: plugins have to be loaded, and a method chosen, to know the rest. */
export function peekFlag(args: readonly string[], name: string): string[] {
  return args.flatMap((arg, index) =>
    arg.startsWith(`--${name}=`)
      ? [arg.slice(name.length + 3)]
      : arg === `--${name}`
      ? args.slice(index + 1, index + 2)
      : []
  );
}

/** The values of a set of flags when none is given; required ones are left to the caller. */
export function defaultsOf<S extends FlagSet>(flags: S): Values<S> {
  const values = Object.entries(flags).map(([name, { type, repeatable, default: value }]) => [
    name,
    repeatable ? [] : value ?? (type === "boolean" ? false : undefined),
  ]);
  return Object.fromEntries(values) as Values<S>;
}
