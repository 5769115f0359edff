/** Reading and writing files so that a reader never sees half of one. */
import { dirname } from "node:path";
import { UserError } from "./errors.ts";

/**
 * Writes a file whole or not at all: to a temporary name in the same folder, synced, then renamed.
 *
 * @param contents the bytes or text, or chunks of bytes to write in order
 */
export async function writeFileAtomic(
  path: string,
  contents: string | Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array<ArrayBuffer>>,
): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    const file = await Deno.open(temporary, { write: true, createNew: true });
    try {
      for await (const chunk of chunksOf(contents)) await writeAll(file, chunk);
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw fileError(error, "write", path);
  }
}

/** Writes a value as indented JSON, whole or not at all. */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, JSON.stringify(value, null, 2) + "\n");
}

/** A file's text. @throws {UserError} of kind `data` if it cannot be read or is not UTF-8 */
export async function readText(path: string | URL): Promise<string> {
  try {
    const bytes = await Deno.readFile(path);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) {
      throw dataError(
        `Cannot read ${display(path)}: it is not UTF-8 text`,
        display(path),
        "save it as UTF-8",
        error,
      );
    }
    throw fileError(error, "read", display(path));
  }
}

/** A file's JSON value. @throws {UserError} of kind `data` if it is missing or is not JSON */
export async function readJson(path: string | URL): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(`Not valid JSON: ${reason}`, display(path), "repair the file or make it again", error);
  }
}

/** Whether something exists at a path. */
export async function exists(path: string | URL): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw fileError(error, "look at", display(path));
  }
}

/** SHA-256 of a file, as hexadecimal, read in pieces. */
export async function hashFile(path: string | URL): Promise<string> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  try {
    using file = await Deno.open(path);
    const buffer = new Uint8Array(1 << 20);
    for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
      hash.update(buffer.subarray(0, read));
    }
  } catch (error) {
    throw fileError(error, "read", display(path));
  }
  return hash.digest("hex");
}

/** An error about data: what is wrong, where, and what to do. */
export function dataError(what: string, where: string, fix: string, cause?: unknown): UserError {
  return new UserError({ kind: "data", what, where, fix, cause });
}

async function* chunksOf(
  contents: string | Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array<ArrayBuffer>>,
): AsyncIterable<Uint8Array<ArrayBuffer>> {
  if (typeof contents === "string") yield new TextEncoder().encode(contents);
  else if (contents instanceof Uint8Array) yield contents;
  else yield* contents;
}

/** Writes bytes to where a file stands; one `write` may take only some of them. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
}

/** The same at once, for a line or so. */
export function writeAllSync(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

/** Makes renames in a folder survive a power cut. Windows cannot open a folder, and needs no such call. */
export async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using folder = await Deno.open(path);
  await folder.sync();
}

function display(path: string | URL): string {
  return path instanceof URL && path.protocol === "file:" ? decodeURIComponent(path.pathname) : String(path);
}

/**
 * What to throw for an error of the file system: an error about data where the user can act on it, else the error.
 *
 * @param action what was tried, e.g. "write"
 */
export function fileError(error: unknown, action: string, path: string): unknown {
  if (error instanceof UserError) return error;
  if (error instanceof Deno.errors.NotFound) {
    return dataError(`Cannot ${action} ${path}: no such file or folder`, path, "check the path", error);
  }
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return dataError(`Cannot ${action} ${path}: permission denied`, path, "check who may access it", error);
  }
  if (error instanceof Error && /os error 28|ENOSPC|No space left/.test(error.message)) {
    return dataError(
      `Cannot ${action} ${path}: the disk is full`,
      path,
      "free some space, then rerun",
      error,
    );
  }
  if (error instanceof Error && /\(os error \d+\)/.test(error.message)) {
    return dataError(
      `Cannot ${action} ${path}: ${error.message}`,
      path,
      "check the path and the disk",
      error,
    );
  }
  return error;
}
