/** The options of a method, as flags of the tasks. */
import { flagName, type Method } from "../core/mod.ts";
import { type FlagSet, type FlagValues, peekFlag } from "./_flags.ts";
import type { Session } from "./_session.ts";

/** A method's options as flags. */
export function methodFlags(method: Method): FlagSet {
  return Object.fromEntries(
    Object.entries(method.defaults).map(([key, value]) => [flagName(key), {
      type: typeof value === "number" ? "number" : typeof value === "boolean" ? "boolean" : "string",
      help: (method.help as Readonly<Record<string, string>> | undefined)?.[key] ??
        `option of ${method.name}`,
      // An empty text stands for what is not there, which help need not show.
      default: value === "" ? undefined : Array.isArray(value) ? value.join(",") : value,
    }]),
  );
}

/** A method's options by name, from its flags. */
export function methodOptions(method: Method, flags: FlagValues): FlagValues {
  const keys = new Map(Object.keys(method.defaults).map((key) => [flagName(key), key]));
  return Object.fromEntries(Object.entries(flags).map(([flag, value]) => [keys.get(flag)!, value]));
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
