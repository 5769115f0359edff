import { closest, distance } from "fastest-levenshtein";
import { redact } from "./redact.ts";

/** Which side has to act, and with which exit code a task reports it. */
export type ErrorKind =
  /** The command line or a plugin's options are wrong. */
  | "usage"
  /** No usable GPU adapter, or one too small for the job. */
  | "adapter"
  /** A dataset, checkpoint or file is missing, damaged or of another shape than asked. */
  | "data"
  /** A limit that the user set, as on cost, was reached: what is done is kept, and a rerun goes on. */
  | "limit"
  /** A plugin broke its contract or threw: its author's bug, so the stack is kept. */
  | "plugin"
  /** The program called itself wrongly: our bug, so the stack is kept. */
  | "internal";

/** Exit code of each {@linkcode ErrorKind}. */
export const EXIT_CODES: Readonly<Record<ErrorKind, number>> = {
  internal: 1,
  plugin: 1,
  usage: 2,
  adapter: 3,
  data: 4,
  limit: 5,
};

/** The three things an error message has to say. */
export interface ErrorParts {
  /** What was wrong, with the value received. */
  readonly what: string;
  /** Where: file and line, tensor, kernel, flag. */
  readonly where: string;
  /** What to do about it. */
  readonly fix: string;
  /** Who has to act; sets the exit code. */
  readonly kind: ErrorKind;
  /** The error underneath, if there was one. */
  readonly cause?: unknown;
}

/**
 * The one error class of this project: what was wrong, where, and what to do.
 *
 * @example It prints as three lines
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { UserError } from "@credence/credence";
 *
 * const error = new UserError({
 *   kind: "usage",
 *   what: 'Unknown flag "--modle-name"',
 *   where: "deno task evaluate",
 *   fix: 'did you mean "--model-name"?',
 * });
 * assertEquals(error.message.split("\n").length, 3);
 * assertEquals(error.exitCode, 2);
 * ```
 */
export class UserError extends Error {
  /** Same for every error of this class, however it is bundled. */
  override readonly name = "UserError";

  /** A plugin from JSR or npm may bring a copy of this class; an error of the copy counts too. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === "UserError" &&
      Object.hasOwn(EXIT_CODES, (value as UserError).kind);
  }

  /** Who has to act; sets the exit code. */
  readonly kind: ErrorKind;
  /** What was wrong, with the value received. */
  readonly what: string;
  /** File and row, tensor, kernel or flag. */
  readonly where: string;
  /** What to do about it. */
  readonly fix: string;

  /** Joins the parts to a message of three lines, without the secrets that they may quote. */
  constructor({ kind, cause, ...parts }: ErrorParts) {
    const [what, where, fix] = [parts.what, parts.where, parts.fix].map(redact);
    super(`${what}\n  where: ${where}\n  fix:   ${fix}`, { cause });
    this.what = what;
    this.where = where;
    this.fix = fix;
    this.kind = kind;
  }

  /** The exit code a task ends with. */
  get exitCode(): number {
    return EXIT_CODES[this.kind];
  }
}

/**
 * Runs a plugin's code: what the user can act on passes, anything else is said to be the plugin's.
 *
 * @param plugin as in `Labeler "acme/exact"`
 * @param flag that chooses another one
 * @throws {UserError} of kind `plugin` where the code throws anything but a `UserError`
 */
export async function guardPlugin<T>(
  plugin: string,
  flag: string,
  where: string,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError({
      kind: "plugin",
      what: `${plugin} threw: ${reason}`,
      where,
      fix: `report it to the plugin's author, or use another ${flag}`,
      cause: error,
    });
  }
}

/** The shortest name of the list that begins with `name`, else the one most like it, if one is like it at all. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const begun = /^-*\w{3}/.test(name) ? names.filter((whole) => whole.startsWith(name)) : [];
  if (begun.length > 0) return begun.reduce((one, other) => other.length < one.length ? other : one);
  const best = closest(name, names as string[]);
  return distance(name, best) <= Math.max(2, Math.floor(name.length / 3)) ? best : undefined;
}

/** Advice for a name that is not in a list: the nearest one, or all of them. */
export function suggestion(name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  return near === undefined ? `use one of ${names.join(", ")}` : `did you mean "${near}"?`;
}
