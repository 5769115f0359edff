/** Where a task writes: results to stdout, everything else to stderr. */

/** Prints a result. */
export function print(text: string): void {
  write(Deno.stdout, `${text}\n`);
}

/** Tells the user something that is not the result. */
export function note(text: string): void {
  write(Deno.stderr, `${text}\n`);
}

/** Exit code of a program that writes to a pipe nobody reads, as a shell reports it. */
const BROKEN_PIPE = 141;

/** Writes all of a text, however little the system takes at once. */
export function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  writeBytes(stream, new TextEncoder().encode(text));
}

/** Writes all bytes, however few the system takes at once. */
export function writeBytes(stream: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  try {
    for (let done = 0; done < bytes.length;) done += stream.writeSync(bytes.subarray(done));
  } catch (error) {
    // As in `deno task evaluate --help | head -1`: whoever read this has seen enough.
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(BROKEN_PIPE);
    throw error;
  }
}
