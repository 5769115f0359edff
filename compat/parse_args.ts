/**
 * The part of `@std/cli/parse-args` that this project uses, over `node:util`, for machines that do not reach JSR.
 * Same names and signatures; `tests/compat_test.ts` holds both to one contract.
 */
import { parseArgs as nodeParseArgs } from "node:util";

/** Which names are strings, switches or may repeat. */
export interface ParseOptions {
  readonly string?: readonly string[];
  readonly boolean?: readonly string[];
  readonly collect?: readonly string[];
  readonly negatable?: readonly string[];
  readonly unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Values by name, and the positional arguments under `_`. */
export type Args = Record<string, unknown> & { _: (string | number)[] };

/** Reads flags from `args`. A flag that is not declared goes to `unknown`. */
export function parseArgs(args: readonly string[], options: ParseOptions = {}): Args {
  const { string = [], boolean = [], collect = [], negatable = [], unknown } = options;
  const declared = new Set([...string, ...boolean]);
  const { tokens } = nodeParseArgs({
    args: joinValues(args, string, boolean),
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: {
      ...Object.fromEntries(string.map((name) => [name, { type: "string" as const }])),
      ...Object.fromEntries(boolean.map((name) => [name, { type: "boolean" as const }])),
    },
  });
  const result: Args = { _: [] };
  for (const name of boolean) result[name] = false;
  for (const name of collect) result[name] = [];
  let literal = false;
  for (const token of tokens) {
    if (token.kind === "option-terminator") {
      literal = true;
    } else if (token.kind === "positional") {
      if (literal || !unknown || unknown(token.value) !== false) result._.push(token.value);
    } else if (token.kind === "option") {
      const negated = token.name.startsWith("no-") && negatable.includes(token.name.slice(3));
      const name = negated ? token.name.slice(3) : token.name;
      const raw = token.value as string | undefined;
      if (!declared.has(name)) {
        if (unknown && unknown(token.rawName, name, raw) === false) continue;
        result[name] = raw ?? true;
      } else if (boolean.includes(name)) {
        result[name] = !negated && raw !== "false";
      } else if (collect.includes(name)) {
        (result[name] as string[]).push(raw ?? "");
      } else {
        result[name] = raw ?? "";
      }
    }
  }
  return result;
}

/**
 * Writes `--name value` as `--name=value` where both parsers would not agree: what begins with a dash is no value of
 * a text, and only "true" and "false" are values of a switch.
 */
function joinValues(
  args: readonly string[],
  string: readonly string[],
  boolean: readonly string[],
): string[] {
  const joined: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index], next = args[index + 1];
    if (arg === "--") return [...joined, ...args.slice(index)];
    const name = arg.startsWith("--") ? arg.slice(2) : "";
    if (boolean.includes(name) && (next === "true" || next === "false")) {
      joined.push(`${arg}=${next}`);
      index++;
    } else if (string.includes(name) && next?.startsWith("-")) joined.push(`${arg}=`);
    else joined.push(arg);
  }
  return joined;
}
