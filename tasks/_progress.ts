import type { ProgressSink } from "../core/mod.ts";
import { write } from "./_io.ts";

/** A terminal is redrawn this often, a log gets a line this often. */
const REDRAW_MS = 100, LOG_MS = 10_000;

const BAR_WIDTH = 24;

/** 3.97, 445, 39.8K */
const RATE = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** Where a {@linkcode ProgressBar} draws, and its clock in ms. */
export interface ProgressOutput {
  readonly stream: { isTerminal(): boolean; writeSync(bytes: Uint8Array): number };
  now(): number;
  /** Width of the terminal, in characters. */
  columns(): number;
}

const STDERR: ProgressOutput = {
  stream: Deno.stderr,
  now: () => performance.now(),
  columns: () => Deno.consoleSize().columns,
};

/** Draws progress on stderr: a bar on a terminal, now and then a line elsewhere. */
export class ProgressBar implements ProgressSink, Disposable {
  readonly #title: string;
  readonly #unit: string;
  readonly #output: ProgressOutput;
  readonly #terminal: boolean;
  readonly #start: number;
  #drawn = -Infinity;
  #last?: { done: number; total: number; note: string };
  /** Work that was there before the start, so that it does not count into the rate. */
  #offset?: number;

  constructor(title: string, unit = "rows", output: ProgressOutput = STDERR) {
    this.#title = title;
    this.#unit = unit;
    this.#output = output;
    this.#terminal = output.stream.isTerminal();
    this.#start = output.now();
  }

  update(done: number, total: number, note = ""): void {
    this.#offset ??= done > 1 ? done : 0;
    this.#last = { done, total, note };
    const now = this.#output.now();
    if (now - this.#drawn < (this.#terminal ? REDRAW_MS : LOG_MS)) return;
    // A log line in the first moment would say nothing.
    if (!this.#terminal && this.#drawn === -Infinity) this.#drawn = now;
    else this.#draw(now);
  }

  /** Draws the last state and leaves it standing. */
  [Symbol.dispose](): void {
    if (!this.#last) return;
    this.#draw(this.#output.now());
    if (this.#terminal) write(this.#output.stream, "\n");
  }

  #draw(now: number): void {
    this.#drawn = now;
    const { done, total, note } = this.#last!;
    const seconds = (now - this.#start) / 1000;
    const rate = (done - (this.#offset ?? 0)) / Math.max(seconds, 1e-3);
    // Of a stream nobody knows the end.
    const left = total === Infinity
      ? ""
      : done < total
      ? (rate > 0 ? `${clock((total - done) / rate)} left` : "")
      : `in ${clock(seconds)}`;
    const share = total > 0 ? done / total : 1;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}`;
    const parts = [
      total === Infinity ? `${done}` : `${done}/${total}`,
      `${RATE.format(rate)} ${this.#unit}/s`,
      left,
      note,
    ].filter(Boolean)
      .join("  ");
    if (this.#terminal) {
      // A line that wraps could not be redrawn.
      const line = [...`${this.#title}  ${total === Infinity ? "" : `${bar}  `}${parts}`].slice(
        0,
        this.#output.columns() - 1,
      ).join("");
      write(this.#output.stream, `\r\x1b[K${line}`);
    } else {write(
        this.#output.stream,
        `${this.#title}  ${total === Infinity ? "" : `${Math.round(100 * share)}%  `}${parts}\n`,
      );}
  }
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes === 0 ? `${whole} s` : `${minutes}:${String(whole % 60).padStart(2, "0")} min`;
}
