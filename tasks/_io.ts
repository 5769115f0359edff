/**
 * Where a task writes: results to stdout, everything else to stderr. What datasets and models have written is among it,
 * so a terminal gets no control characters by which a text could command it; a file and a pipe get every byte.
 */

/** Prints a result. */
export function print(text: string): void {
  say(Deno.stdout, text);
}

/** Tells the user something that is not the result. */
export function note(text: string): void {
  say(Deno.stderr, text);
}

function say(stream: typeof Deno.stdout | typeof Deno.stderr, text: string): void {
  write(stream, `${stream.isTerminal() ? harmless(text) : text}\n`);
}

/** A text with the codes of its control characters in their place, as in `\u001b`, but for line ends and tabulators. */
export function harmless(text: string): string {
  // deno-lint-ignore no-control-regex -- they are what is looked for
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, codeOf);
}

function codeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
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
