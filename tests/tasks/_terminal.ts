/** Running a task in a terminal, through util-linux's `script`. */
import { Buffer } from "node:buffer";
import { command } from "./_cli.ts";

/** Whether a program can be given a terminal here. */
export const hasTerminal: boolean = Deno.build.os === "linux" &&
  await new Deno.Command("script", { args: ["--version"], stdout: "null", stderr: "null" }).output()
    .then(({ success }) => success, () => false);

/** Keys as a terminal sends them. */
export const KEYS = {
  enter: "\r",
  up: "\x1b[A",
  left: "\x1b[D",
  tab: "\t",
  interrupt: "\x03",
  end: "\x04",
} as const;

/** A task in a terminal. */
export class Terminal implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  #seen = Buffer.alloc(0);
  #from = 0;

  constructor(task: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { program, args: own, options } = command(task, args, { TERM: "xterm-256color", ...env });
    const quoted = [program, ...own].map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(" ");
    const script = ["--quiet", "--return", "--command", quoted, "/dev/null"];
    this.#child = new Deno.Command("script", { ...options, args: script, stdin: "piped" }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.getReader();
  }

  /** Everything that was written so far. */
  get seen(): string {
    return this.#seen.toString();
  }

  /** Waits for a text behind the last one waited for; gives what came before it. */
  async until(text: string): Promise<string> {
    while (true) {
      const at = this.#seen.indexOf(text, this.#from);
      if (at >= 0) {
        const before = this.#seen.subarray(this.#from, at).toString();
        this.#from = at + Buffer.byteLength(text);
        return before;
      }
      const { value } = await this.#reader.read();
      if (!value) {
        throw new Error(`${JSON.stringify(text)} never came; there was ${JSON.stringify(this.seen)}`);
      }
      this.#seen = Buffer.concat([this.#seen, value]);
    }
  }

  /** Types. */
  async type(keys: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(keys));
  }

  /** Waits for the end of the program; gives its exit code. */
  async code(): Promise<number> {
    while (!(await this.#reader.read()).done);
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill();
    } catch {
      // It has ended by itself.
    }
    await this.#writer.close().catch(() => {});
    await this.#reader.cancel();
    await this.#child.stderr.cancel();
    await this.#child.status;
  }
}
