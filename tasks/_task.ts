import { UserError } from "../core/mod.ts";
import { describeFlags, type FlagSet } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { Session } from "./_session.ts";

/** A command of the command line. */
export interface Task {
  /** As the user types it, e.g. "deno task evaluate". */
  readonly command: string;
  /** What it does, in one or two lines. */
  readonly summary: string;
  /** An example that works. */
  readonly example: string;
  readonly flags: FlagSet;
  /** Does the work; what it resolves to is printed as JSON with `--json`. */
  run(args: readonly string[], session: Session): Promise<unknown>;
}

/** Exit codes of a process that a signal ended. */
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Runs a task as a program: help, result, errors and exit code. */
export async function runTask(task: Task, args: readonly string[] = Deno.args): Promise<never> {
  if (args.includes("--help") || args.includes("-h")) {
    print(helpText(task));
    Deno.exit(0);
  }
  for (const [signal, code] of Object.entries(SIGNAL_CODES) as [keyof typeof SIGNAL_CODES, number][]) {
    // Whatever is worth keeping is on disk by then: files are renamed whole, journals are appended to as rows come.
    Deno.addSignalListener(signal, () => Deno.exit(code));
  }
  const session = new Session();
  try {
    const result = await task.run(args.filter((arg) => arg !== "--json"), session);
    if (args.includes("--json")) print(JSON.stringify(result));
    session.close();
    Deno.exit(0);
  } catch (error) {
    note(errorText(error));
    Deno.exit(error instanceof UserError ? error.exitCode : 1);
  }
}

/** What the user sees of an error: three lines, and the stack where it is somebody's bug. */
export function errorText(error: unknown): string {
  if (!(error instanceof UserError)) {
    const stack = error instanceof Error ? error.stack ?? error.message : String(error);
    return `This is a bug in credence; please report it with the command that led to it.\n${stack}`;
  }
  if (error.kind !== "plugin" && error.kind !== "internal") return error.message;
  const cause = error.cause instanceof Error ? error.cause : error;
  return `${error.message}\n${cause.stack}`;
}

function helpText({ command, summary, example, flags }: Task): string {
  return `${summary}\n\n  ${example}\n\n${
    describeFlags(flags)
  }\n  --json  print the result as one line of JSON on stdout\n\n${command} refuses flags it does not know.`;
}
