import { dirname } from "node:path";
import { dataError, fileError } from "../core/files.ts";
import { write } from "./_io.ts";

/**
 * Numbers of each step, one JSON object a line, appended as they come.
 *
 * A training that goes on from a checkpoint takes some steps again: the first step that is written drops the lines of
 * this step and later ones, and what was half written, so that every step stands in the file once.
 */
export class MetricsLog implements Disposable {
  readonly #path: string;
  #file?: Deno.FsFile;

  /** @param path of the file, which is made with the first step */
  constructor(path: string) {
    this.#path = path;
  }

  /** @throws {UserError} of kind `data` if the file holds something else than such lines, which is left alone */
  write(step: number, values: Readonly<Record<string, number>>): void {
    try {
      if (!this.#file) {
        Deno.mkdirSync(dirname(this.#path), { recursive: true });
        this.#file = Deno.openSync(this.#path, { create: true, read: true, write: true });
        this.#dropFrom(this.#file, step);
      }
      write(this.#file, `${JSON.stringify({ step, ...values })}\n`);
    } catch (error) {
      throw fileError(error, "write", this.#path);
    }
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }

  /** Leaves the lines of earlier steps, and stands behind them. */
  #dropFrom(file: Deno.FsFile, step: number): void {
    const bytes = new Uint8Array(file.statSync().size);
    for (let done = 0; done < bytes.length;) {
      const read = file.readSync(bytes.subarray(done));
      if (read === null) break;
      done += read;
    }
    const decoder = new TextDecoder();
    let kept = 0;
    for (let line = 1, end = bytes.indexOf(10); end >= 0; line++, end = bytes.indexOf(10, kept)) {
      if (stepOf(decoder.decode(bytes.subarray(kept, end)), `${this.#path}, line ${line}`) >= step) break;
      kept = end + 1;
    }
    if (kept < bytes.length) file.truncateSync(kept);
    file.seekSync(kept, Deno.SeekMode.Start);
  }
}

function stepOf(line: string, where: string): number {
  try {
    const { step } = JSON.parse(line) as { step: unknown };
    if (Number.isInteger(step)) return step as number;
  } catch {
    // Reported below.
  }
  throw dataError("Not the numbers of a step", where, "move the file away; the training itself can go on");
}
