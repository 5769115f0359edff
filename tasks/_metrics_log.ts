import { dirname } from "node:path";
import { fileError } from "../core/files.ts";
import { write } from "./_io.ts";

/** Numbers of each step, one JSON object a line, appended as they come. */
export class MetricsLog implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  static async open(path: string): Promise<MetricsLog> {
    try {
      await Deno.mkdir(dirname(path), { recursive: true });
      return new MetricsLog(path, await Deno.open(path, { create: true, append: true }));
    } catch (error) {
      throw fileError(error, "write", path);
    }
  }

  write(step: number, values: Readonly<Record<string, number>>): void {
    try {
      write(this.#file, `${JSON.stringify({ step, ...values })}\n`);
    } catch (error) {
      throw fileError(error, "write", this.#path);
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
