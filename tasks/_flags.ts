import { parseArgs } from "@std/cli/parse-args";
import { suggestion, UserError } from "../core/mod.ts";

/** One flag of a task. */
export interface Flag {
  readonly type: "string" | "number" | "boolean";
  /** One line for `--help`. */
  readonly help: string;
  /** Value when the flag is not given; without one, the value is undefined. */
  readonly default?: string | number | boolean;
  /** A number that has to be whole, and at least this. */
  readonly least?: number;
  readonly required?: boolean;
  /** May be given several times; its value is a list of texts. */
  readonly repeatable?: boolean;
  /** Name of the plugin whose option it is; absent for the task's own flags. */
  readonly optionOf?: string;
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

/** Values of some flags, by name. */
export type FlagValues = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** Declares flags, keeping their literal types. */
export function defineFlags<const S extends FlagSet>(flags: S): S {
  return flags;
}

/** Flags of every task, which `runTask` takes away before the task sees its arguments. */
const COMMON_FLAGS: FlagSet = {
  "json": { type: "boolean", help: "print the result as one line of JSON on stdout" },
  "help": { type: "boolean", help: "show this" },
};

/** Flags of the research code that have no namesake here, and what to do instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "embedding-model-name": "leave it out; classifier-tune reads the model's own hidden states",
  "hf-hub-id": "give --repo=<owner>/<name>",
  "hf-token": "set HF_TOKEN in the environment",
  "int8": "give --dtype=int8; without it the weights stay as they are stored",
  "num-workers": "leave it out; rows are read as they are needed",
  "peft-dir": "give --query-peft-dir, the adapter that is asked; answers are those of the model itself",
  "use-dataset-cache": "leave it out; what was downloaded, answered and computed is always used again",
  "use-query-only": "leave it out; the adapter acts on the question about the answer alone",
  "use-temp": "give --scale-temp=query",
  "with-classifier": "give --mode=class, or --method=probe; the classifier is that of --query-peft-dir",
};

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
  const parsed: Readonly<Record<string, unknown>> = parseArgs([...joinValues(args, all)], {
    // All are read as texts, so that "--seed=abc" is refused instead of becoming NaN.
    string: names,
    collect: names,
    unknown(arg: string, key?: string) {
      if (key === undefined) throw usage(`Unexpected argument "${arg}"`, "give values as --flag=value");
      const known = Object.keys({ ...all, ...COMMON_FLAGS }).map((name) => `--${name}`).toSorted();
      const [flag] = arg.split("="), name = flag.replace(/^--(no-)?/, "");
      throw usage(
        `Unknown flag "${flag}"`,
        Object.hasOwn(ELSEWHERE, name) ? ELSEWHERE[name] : suggestion(flag, known),
      );
    },
  });
  const textsOf = (name: string) => parsed[name] as readonly string[] | undefined ?? [];
  const read = (name: string, text: string) => {
    const flag = all[name];
    if (text === "") throw usage(`--${name} has no value`, `give it as ${form(name, flag)}`);
    if (flag.type === "string") return text;
    if (flag.type === "boolean") {
      // Python writes them in capitals.
      if (/^([Tt]rue|[Ff]alse)$/.test(text)) return text.toLowerCase() === "true";
      throw usage(`--${name} is "${text}"`, `give --${name} or --no-${name}`);
    }
    const number = text.trim() === "" ? NaN : Number(text);
    const fits = flag.least === undefined
      ? Number.isFinite(number)
      : Number.isSafeInteger(number) && number >= flag.least;
    if (fits) return number;
    throw usage(
      `--${name} is "${text}"`,
      flag.least === undefined ? "give a number" : `give a whole number from ${flag.least}`,
    );
  };
  const value = (name: string) => {
    const flag = all[name], given = textsOf(name).map((text) => read(name, text));
    if (given.length === 0 && flag.required) {
      throw usage(`--${name} is missing`, `give ${form(name, flag)}: ${flag.help}`);
    }
    return flag.repeatable ? given : given.at(-1) ?? absent(flag);
  };
  const pick = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, value(name)]));
  const chosen = Object.keys(extra).filter((name) => textsOf(name).length > 0);
  return {
    values: pick(Object.keys(flags)) as Values<S>,
    extra: pick(chosen) as Record<string, string | number | boolean>,
  };
}

/** Every flag as `--name=value`, however it was written. One that lacks its value gets an empty one. */
function joinValues(args: readonly string[], flags: FlagSet): readonly string[] {
  const joined: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index], name = /^--([^=]+)$/.exec(arg)?.[1] ?? "";
    const negated = /^no-(.+)/.exec(name)?.[1] ?? "";
    if (typeOf(flags, negated) === "boolean") joined.push(`--${negated}=false`);
    else if (typeOf(flags, name) === "boolean") joined.push(`${arg}=true`);
    else if (typeOf(flags, name) === undefined) joined.push(arg);
    else if (args[index + 1]?.startsWith("--") ?? true) joined.push(`${arg}=`);
    else joined.push(`${arg}=${args[++index]}`);
  }
  return joined;
}

function typeOf(flags: FlagSet, name: string): Flag["type"] | undefined {
  return Object.hasOwn(flags, name) ? flags[name].type : undefined;
}

/** A flag as it is typed. */
function form(name: string, { type }: Flag): string {
  return type === "boolean" ? `--${name}` : `--${name}=<${type === "number" ? "n" : "text"}>`;
}

/** The value of a flag that is not given. */
function absent(
  { type, repeatable, default: value }: Flag,
): string | number | boolean | readonly string[] | undefined {
  return repeatable ? [] : value ?? (type === "boolean" ? false : undefined);
}

/** Width of the column of flags: what is longer has its help behind it, or on the next line. */
const COLUMN = 24;

/** The lines of `--help` for a set of flags, none longer than `width`; those of plugins stand by themselves. */
export function describeFlags(flags: FlagSet, width = 80): string {
  const own = Object.entries(flags).filter(([, { optionOf }]) => optionOf === undefined);
  const plugins = new Set(Object.values(flags).flatMap(({ optionOf }) => optionOf ?? []));
  return [
    describeGroup([...own, ...Object.entries(COMMON_FLAGS)], width),
    ...[...plugins].map((plugin) => {
      const options = Object.entries(flags).filter(([, { optionOf }]) => optionOf === plugin);
      return `Options of ${plugin}:\n${describeGroup(options, width)}`;
    }),
  ].join("\n\n");
}

function describeGroup(flags: readonly (readonly [name: string, flag: Flag])[], width: number): string {
  const rows = flags.map(([name, flag]) => {
    // A switch that is off when it is not given need not say so.
    const shown = flag.default !== undefined && flag.default !== false;
    const note = flag.required ? " (required)" : shown ? ` (${flag.default})` : "";
    return [form(name, flag), `${flag.help}${note}`];
  });
  const left = Math.min(COLUMN, Math.max(...rows.map(([flag]) => flag.length)));
  return rows.flatMap(([flag, help]) => {
    if (flag.length > left && flag.length + help.length <= width - 4) return [`  ${flag}  ${help}`];
    const lines = wrap(help, width - left - 4);
    if (flag.length > left) lines.unshift("");
    return lines.map((line, index) => `  ${(index === 0 ? flag : "").padEnd(left)}  ${line}`.trimEnd());
  }).join("\n");
}

/** A text in lines of at most `width`, broken between words. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** The arguments that are neither flags nor their values, and the others. */
export function splitPositionals(
  args: readonly string[],
  flags: FlagSet,
): { readonly positionals: readonly string[]; readonly rest: readonly string[] } {
  const takesNext = (arg = "") => {
    const type = typeOf(flags, arg.replace(/^--/, ""));
    return arg.startsWith("--") && type !== undefined && type !== "boolean";
  };
  const isPositional = args.map((arg, index) => !arg.startsWith("-") && !takesNext(args[index - 1]));
  return {
    positionals: args.filter((_, index) => isPositional[index]),
    rest: args.filter((_, index) => !isPositional[index]),
  };
}

/** Values of a flag before all flags are known: plugins have to be loaded, and a method chosen, to know the rest. */
export function peekFlag(args: readonly string[], name: string): readonly string[] {
  const start = `--${name}=`;
  return joinValues(args, { [name]: { type: "string", help: "" } })
    .filter((arg) => arg.startsWith(start) && arg !== start).map((arg) => arg.slice(start.length));
}

/** The values of a set of flags when none is given; required ones are left to the caller. */
export function defaultsOf<S extends FlagSet>(flags: S): Values<S> {
  return Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, absent(flag)])) as Values<S>;
}
