import { dirname } from "node:path";
import { fileError, writeAllSync } from "./files.ts";

/**
 * Results of a long stage, kept line by line as they come, so that a killed run goes on where it was.
 *
 * The first line holds a key of everything that decides the results; a journal with another key is started anew. A
 * last line that was cut off is dropped. What was kept is never written again, so it survives a kill at any point.
 */
export class Journal<T> {
  /** Where it lies; beside the file its results will become. */
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
    let file: Deno.FsFile | undefined;
    try {
      await Deno.mkdir(dirname(path), { recursive: true });
      file = await Deno.open(path, { create: true, read: true, write: true });
      const { entries, length } = readLines<T>(await readAll(file), key);
      await file.truncate(length);
      await file.seek(length, Deno.SeekMode.Start);
      const journal = new Journal(path, file, entries);
      if (length === 0) journal.#write(key);
      return journal;
    } catch (error) {
      file?.close();
      throw fileError(error, "write", path);
    }
  }

  /** Keeps one more result; it is on disk when this returns. */
  append(index: number, value: T): void {
    this.#write([index, value]);
    this.entries.set(index, value);
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

  /** A line is a few bytes for the system to take: handing that to another thread takes twenty times as long. */
  #write(value: unknown): void {
    try {
      writeAllSync(this.#file, new TextEncoder().encode(JSON.stringify(value) + "\n"));
    } catch (error) {
      throw fileError(error, "write", this.path);
    }
  }
}

/** The results of whole lines, and the bytes that these take; none if the key is another. */
function readLines<T>(bytes: Uint8Array, key: string): { entries: Map<number, T>; length: number } {
  const entries = new Map<number, T>();
  let length = 0;
  for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, length)) {
    const line = new TextDecoder().decode(bytes.subarray(length, end));
    if (length === 0) {
      if (line !== JSON.stringify(key)) break;
    } else {
      try {
        const [index, value] = JSON.parse(line) as [number, T];
        entries.set(index, value);
      } catch {
        break;
      }
    }
    length = end + 1;
  }
  return { entries, length };
}

const LINE_FEED = 10;

async function readAll(file: Deno.FsFile): Promise<Uint8Array> {
  const bytes = new Uint8Array((await file.stat()).size);
  let done = 0;
  while (done < bytes.length) {
    const read = await file.read(bytes.subarray(done));
    if (read === null) break;
    done += read;
  }
  return bytes.subarray(0, done);
}
