import { dirname } from "node:path";
import { exists, readText } from "./files.ts";

/**
 * Results of a long stage, kept line by line as they come, so that a killed run goes on where it was.
 *
 * The first line holds a key of everything that decides the results; a journal with another key is started anew. A
 * last line that was cut off is dropped.
 */
export class Journal<T> {
  readonly path: string;
  /** Results so far, by index. */
  readonly entries: Map<number, T>;
  readonly #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile, entries: Map<number, T>) {
    this.path = path;
    this.#file = file;
    this.entries = entries;
  }

  /** Opens a journal with this key, with what an earlier run left in it. */
  static async open<T>(path: string, key: string): Promise<Journal<T>> {
    await Deno.mkdir(dirname(path), { recursive: true });
    const kept = await exists(path) ? readLines<T>(await readText(path).catch(() => ""), key) : undefined;
    const file = await Deno.open(path, { create: true, write: true, truncate: true });
    const journal = new Journal(path, file, new Map<number, T>());
    await journal.#write(JSON.stringify(key));
    for (const [index, value] of kept ?? []) await journal.append(index, value);
    return journal;
  }

  /** Keeps one more result. */
  async append(index: number, value: T): Promise<void> {
    this.entries.set(index, value);
    await this.#write(JSON.stringify([index, value]));
  }

  /** Closes the journal and keeps it, for the next run. */
  close(): void {
    this.#file.close();
  }

  /** Closes and deletes the journal, once its results stand elsewhere. */
  async finish(): Promise<void> {
    this.close();
    await Deno.remove(this.path);
  }

  async #write(line: string): Promise<void> {
    const bytes = new TextEncoder().encode(line + "\n");
    for (let written = 0; written < bytes.length;) written += await this.#file.write(bytes.subarray(written));
  }
}

function readLines<T>(text: string, key: string): Map<number, T> | undefined {
  const lines = text.split("\n");
  // What stands behind the last line break was cut off.
  lines.pop();
  if (lines[0] !== JSON.stringify(key)) return undefined;
  const entries = new Map<number, T>();
  for (const line of lines.slice(1)) {
    try {
      const [index, value] = JSON.parse(line) as [number, T];
      entries.set(index, value);
    } catch {
      break;
    }
  }
  return entries;
}
