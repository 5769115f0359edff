/** Plugins from outside: what one throws while it runs is said to be its own. */
import { UserError } from "./errors.ts";
import type { Plugin } from "./types.ts";

/** Functions that give one item after the other, and may throw before any of them. */
const GIVES_ITEMS: readonly string[] = ["read", "predict"];

/**
 * The same plugin, whose functions say that they are its own when they throw.
 *
 * Metrics and labelers come back as they are: those who call them know the row, or take the error for the answer.
 *
 * @param origin the module it was loaded from
 */
export function guarded<P extends Plugin>(plugin: P, origin: string): P {
  if (plugin.kind === "metric" || plugin.kind === "labeler") return plugin;
  const guard: Record<string, unknown> = {};
  // A plugin may be an instance of a class, whose functions stand in its prototype.
  for (let at: object = plugin; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const key of Object.getOwnPropertyNames(at)) {
      if (key === "constructor" || Object.hasOwn(guard, key)) continue;
      const value = (plugin as unknown as Record<string, unknown>)[key];
      guard[key] = typeof value === "function"
        ? guardedFunction(plugin, value as (...args: unknown[]) => unknown, key, origin)
        : value;
    }
  }
  return guard as unknown as P;
}

function guardedFunction(
  plugin: Plugin,
  work: (...args: unknown[]) => unknown,
  name: string,
  origin: string,
): (...args: unknown[]) => unknown {
  return (...args) => {
    const blame = (error: unknown): unknown => {
      // What the user can act on passes, and so does the end of a run that the user asked for.
      if (error instanceof UserError || args.some((arg) => isReason(error, arg))) return error;
      return new UserError({
        kind: "plugin",
        what: `Plugin "${plugin.name}" threw: ${error instanceof Error ? error.message : String(error)}`,
        where: `${name}() of ${origin}`,
        fix: "correct the plugin, or report it to its author",
        cause: error,
      });
    };
    try {
      const result = work.apply(plugin, args);
      if (result instanceof Promise) {
        return result.catch((error) => {
          throw blame(error);
        });
      }
      return GIVES_ITEMS.includes(name) ? guardedItems(result as AsyncIterable<unknown>, blame) : result;
    } catch (error) {
      throw blame(error);
    }
  };
}

async function* guardedItems<T>(items: AsyncIterable<T>, blame: (error: unknown) => unknown) {
  try {
    yield* items;
  } catch (error) {
    throw blame(error);
  }
}

/** Whether an error is why the work that an argument stands for was stopped. */
function isReason(error: unknown, arg: unknown): boolean {
  const { signal } = (arg ?? {}) as { readonly signal?: unknown };
  return signal instanceof AbortSignal && signal.aborted && signal.reason === error;
}
