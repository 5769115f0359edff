import { redact, UserError } from "../core/mod.ts";
import { describeFlags, type FlagSet, wrap } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { Interrupted, Session } from "./_session.ts";

/** A command of the command line. */
export interface Task {
  /** As the user types it, e.g. "deno task evaluate". */
  readonly command: string;
  /** What it does, in one or two lines. */
  readonly summary: string;
  /** An example that works. */
  readonly example: string;
  /** Its flags; a function where they depend on the command line, as a method's options do. */
  readonly flags: FlagSet | ((args: readonly string[], session: Session) => Promise<FlagSet>);
  /** Does the work; what it resolves to is printed as JSON with `--json`. */
  run(args: readonly string[], session: Session): Promise<unknown>;
}

/** Flags that every task has, taken away before the task reads its own. */
const COMMON = ["--json", "--help", "-h"];

/** Exit codes of a process that a signal ended. */
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Runs a task as a program: help, result, errors and exit code. */
export async function runTask(task: Task, args: readonly string[] = Deno.args): Promise<never> {
  const session = new Session([task.command, ...args].join(" "));
  for (const [signal, code] of Object.entries(SIGNAL_CODES) as [keyof typeof SIGNAL_CODES, number][]) {
    // Windows has no such signal.
    if (signal === "SIGTERM" && Deno.build.os === "windows") continue;
    Deno.addSignalListener(signal, () => session.interrupt(code));
  }
  try {
    const own = args.filter((arg) => !COMMON.includes(arg));
    if (args.includes("--help") || args.includes("-h")) {
      const flags = typeof task.flags === "function" ? await task.flags(own, session) : task.flags;
      print(helpText(task, flags));
    } else {
      const result = await task.run(own, session);
      if (args.includes("--json")) print(JSON.stringify(result));
    }
    session.close();
    Deno.exit(session.exitCode);
  } catch (error) {
    if (error instanceof Interrupted) {
      note(`Stopped. ${session.advice}`);
      Deno.exit(error.exitCode);
    }
    note(errorText(error));
    Deno.exit(error instanceof UserError ? error.exitCode : 1);
  }
}

/** What the user sees of an error: three lines, and a stack where somebody's code threw it. */
function errorText(error: unknown): string {
  if (!(error instanceof UserError)) {
    const stack = error instanceof Error ? error.stack ?? error.message : String(error);
    return redact(`This is a bug in credence; please report it with the command that led to it.\n${stack}`);
  }
  if (error.kind !== "plugin" && error.kind !== "internal") return error.message;
  // Of a plugin that gave something wrong, the stack would be ours and tell its author nothing.
  const thrown = error.cause instanceof Error ? error.cause : error.kind === "internal" ? error : undefined;
  return redact(thrown ? `${error.message}\n${thrown.stack}` : error.message);
}

/** Help for a screen of 80 columns. */
function helpText({ summary, example }: Task, flags: FlagSet): string {
  const width = 80;
  const command = wrap(example, width - 6).map((line, index) => `${index === 0 ? "  " : "    "}${line}`);
  return [...wrap(summary, width), "", command.join(" \\\n"), "", describeFlags(flags, width)].join("\n");
}
