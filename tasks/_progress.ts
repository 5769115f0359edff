import type { ProgressSink } from "../core/mod.ts";
import { write } from "./_io.ts";

/** A terminal is redrawn this often, a log gets a line this often. */
const REDRAW_MS = 100, LOG_MS = 10_000;

const BAR_WIDTH = 24;

/** Draws progress on stderr: a bar on a terminal, now and then a line elsewhere. */
export class ProgressBar implements ProgressSink, Disposable {
  readonly #title: string;
  readonly #unit: string;
  readonly #terminal = Deno.stderr.isTerminal();
  readonly #start = performance.now();
  #drawn = -Infinity;
  #last?: { done: number; total: number; note: string };
  /** Work that was there before the start, so that it does not count into the rate. */
  #offset?: number;

  constructor(title: string, unit = "rows") {
    this.#title = title;
    this.#unit = unit;
  }

  update(done: number, total: number, note = ""): void {
    this.#offset ??= done > 1 ? done : 0;
    this.#last = { done, total, note };
    const now = performance.now();
    if (now - this.#drawn < (this.#terminal ? REDRAW_MS : LOG_MS)) return;
    // A log line in the first moment would say nothing.
    if (!this.#terminal && this.#drawn === -Infinity) this.#drawn = now;
    else this.#draw(now);
  }

  /** Draws the last state and leaves it standing. */
  [Symbol.dispose](): void {
    if (!this.#last) return;
    this.#draw(performance.now());
    if (this.#terminal) write(Deno.stderr, "\n");
  }

  #draw(now: number): void {
    this.#drawn = now;
    const { done, total, note } = this.#last!;
    const seconds = (now - this.#start) / 1000;
    const rate = (done - (this.#offset ?? 0)) / Math.max(seconds, 1e-3);
    const left = done < total
      ? (rate > 0 ? `${clock((total - done) / rate)} left` : "")
      : `in ${clock(seconds)}`;
    const share = total > 0 ? done / total : 1;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}`;
    const parts = [`${done}/${total}`, `${rate.toPrecision(3)} ${this.#unit}/s`, left, note].filter(Boolean)
      .join("  ");
    if (this.#terminal) write(Deno.stderr, `\r\x1b[K${this.#title}  ${bar}  ${parts}`);
    else write(Deno.stderr, `${this.#title}  ${Math.round(100 * share)}%  ${parts}\n`);
  }
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes === 0 ? `${whole} s` : `${minutes}:${String(whole % 60).padStart(2, "0")} min`;
}
