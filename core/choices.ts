/** Which options a multiple-choice question lists. */
import type { Prompt } from "./records.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/**
 * Letters of the options that a prompt lists, as the `choice` style and the research code's files do: lines that begin
 * with `  (a): `, `  (b): ` and so on behind `Choices:`. None for a question without.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { listedChoices } from "@credence/credence";
 *
 * assertEquals(listedChoices({ context: "Question:\nWhich?\n\nChoices:\n  (a): this\n  (b): that" }), ["a", "b"]);
 * assertEquals(listedChoices({ context: "Question: Which?" }), []);
 * ```
 */
export function listedChoices({ context }: Pick<Prompt, "context">): string[] {
  const letters: string[] = [];
  let place = context.lastIndexOf("\nChoices:");
  while (place >= 0 && letters.length < LETTERS.length) {
    const letter = LETTERS[letters.length];
    place = context.indexOf(`\n  (${letter}): `, place);
    if (place >= 0) letters.push(letter);
  }
  return letters;
}
