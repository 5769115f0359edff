import { dirname } from "node:path";
import { write } from "./_io.ts";

/** Numbers of each step, one JSON object a line, appended as they come. */
export class MetricsLog implements Disposable {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  static async open(path: string): Promise<MetricsLog> {
    await Deno.mkdir(dirname(path), { recursive: true });
    return new MetricsLog(await Deno.open(path, { create: true, append: true }));
  }

  write(step: number, values: Readonly<Record<string, number>>): void {
    write(this.#file, `${JSON.stringify({ step, ...values })}\n`);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
