/** Where a task writes: results to stdout, everything else to stderr. */

/** Prints a result. */
export function print(text: string): void {
  write(Deno.stdout, `${text}\n`);
}

/** Tells the user something that is not the result. */
export function note(text: string): void {
  write(Deno.stderr, `${text}\n`);
}

/** Writes all of a text, however little the system takes at once. */
export function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) done += stream.writeSync(bytes.subarray(done));
}
