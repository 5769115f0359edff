/** What takes the place of a secret. */
const HIDDEN = "…";

/** What is secret in a text, and what stays of it. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  // Tokens of the Hub, and keys of OpenAI and its like.
  [/\b(hf_|sk-)[A-Za-z0-9_-]{16,}/g, `$1${HIDDEN}`],
  // A header, and one that a runtime quotes because a line break cuts it in two.
  [/"Bearer\s[^"]*"/gi, `"Bearer ${HIDDEN}"`],
  [/\bBearer\s+[^\s"…]+/gi, `Bearer ${HIDDEN}`],
  [/(\bhttps?:\/\/)[^\s/@"']+@/gi, `$1${HIDDEN}@`],
  // Where the Hub sends a download on to, whoever has the query has the file.
  [/(\bhttps?:\/\/[^\s?"']+)\?[^\s"')\]]+/gi, `$1?${HIDDEN}`],
];

/**
 * A text without the secrets it holds: access tokens, and passwords and signatures in URLs. Errors and manifests go
 * through here.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { redact } from "@credence/credence";
 *
 * assertEquals(redact("GET https://x.co/file?signature=abc with hf_abcdefghijklmnopqrst"), "GET https://x.co/file?… with hf_…");
 * ```
 */
export function redact(text: string): string {
  return SECRETS.reduce((left, [secret, rest]) => left.replace(secret, rest), text);
}
