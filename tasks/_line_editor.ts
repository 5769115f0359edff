import { createInterface, type Interface } from "node:readline";
import process from "node:process";
import { Writable } from "node:stream";
import { write } from "./_io.ts";

/**
 * Lines that a user types in a terminal, with editing, history and completion.
 *
 * Between two lines nothing that is typed is shown, so that it does not run into what the program writes; it is kept,
 * and shown at the next prompt.
 */
export class LineEditor implements Disposable {
  readonly #prompt: string;
  readonly #lines: Interface;
  /** Lines that were typed while nobody asked for one; undefined stands for the end of the input. */
  #typed: (string | undefined)[] = [];
  /** Gives a line to the one who waits for it. */
  #give?: (line: string | undefined) => void;
  #shown = false;
  /** Of the work on the last line; absent while the user is asked for one. */
  #work?: AbortController;

  /**
   * @param completions what the tabulator completes
   * @param leave called for Ctrl-C where nothing is left to stop; the terminal is then as it was
   */
  constructor(prompt: string, completions: readonly string[], leave: () => void) {
    this.#prompt = prompt;
    this.#lines = createInterface({
      input: process.stdin,
      output: new Screen(() => this.#shown),
      terminal: true,
      prompt,
      historySize: 1000,
      removeHistoryDuplicates: true,
      completer: (line: string) => [completions.filter((text) => line !== "" && text.startsWith(line)), line],
    });
    this.#lines.on("line", (line) => this.#take(line));
    this.#lines.on("close", () => this.#take(undefined));
    this.#lines.on("SIGINT", () => {
      if (this.#work && !this.#work.signal.aborted) {
        this.#work.abort();
        this.#typed = this.#typed.filter((line) => line === undefined);
      } else {
        this[Symbol.dispose]();
        leave();
      }
    });
    // By default the process would stop itself, for which a task has no permission.
    this.#lines.on("SIGTSTP", () => {});
  }

  /** Aborted by Ctrl-C while the last line is worked on, which also drops what was typed meanwhile. */
  get signal(): AbortSignal {
    return (this.#work ??= new AbortController()).signal;
  }

  /** Shows the prompt and waits for a line, or takes one that was typed before; undefined when there is no more. */
  async next(): Promise<string | undefined> {
    this.#work = undefined;
    if (this.#typed.length > 0) {
      const line = this.#typed.shift();
      if (line !== undefined) write(Deno.stdout, `${this.#prompt}${line}\n`);
      return line;
    }
    // What was typed unseen takes up no rows of the screen that the editor would have to go back over.
    Object.assign(this.#lines, { prevRows: 0 });
    this.#shown = true;
    this.#lines.prompt(true);
    return await new Promise((resolve) => this.#give = resolve);
  }

  /** Gives the terminal back as it was. */
  [Symbol.dispose](): void {
    this.#lines.close();
  }

  #take(line: string | undefined): void {
    // A prompt that is left without a line is ended, so that what follows begins at the left.
    if (this.#shown && line === undefined) write(Deno.stdout, "\n");
    this.#shown = false;
    // At once: a Ctrl-C may be read before anybody who waits for the line gets it.
    this.#work ??= new AbortController();
    if (this.#give) this.#give(line);
    else this.#typed.push(line);
    this.#give = undefined;
  }
}

/** The terminal, as the editor of a line sees it: its width, and a place to write unless it is to be silent. */
class Screen extends Writable {
  readonly isTTY = true;

  constructor(shown: () => boolean) {
    super({
      decodeStrings: false,
      write(chunk, _encoding, done) {
        if (shown()) write(Deno.stdout, String(chunk));
        done();
      },
    });
  }

  get columns(): number {
    return Deno.consoleSize().columns;
  }
}
