import { UserError } from "../errors.ts";

/** An endpoint that speaks OpenAI's protocol, and who asks. */
export interface OpenAiSettings {
  /** `OPENAI_BASE_URL`, without a slash at its end. */
  readonly baseUrl: string;
  /** `OPENAI_API_KEY`. Goes to the endpoint and nowhere else: no file, no message. */
  readonly key?: string;
}

/** Where OpenAI's own endpoint is. */
export const OPENAI_URL = "https://api.openai.com/v1";

/**
 * Reads the environment: `OPENAI_BASE_URL` and `OPENAI_API_KEY`, as OpenAI's own libraries do. Servers on this machine,
 * such as llama.cpp, vLLM and Ollama, need no key.
 *
 * @throws {UserError} of kind `usage` for a variable that cannot be meant
 */
export function openAiSettings(
  get: (name: string) => string | undefined = (name) => Deno.env.get(name),
): OpenAiSettings {
  const given = get("OPENAI_BASE_URL")?.trim() || OPENAI_URL, key = get("OPENAI_API_KEY")?.trim() ?? "";
  const usage = (what: string, fix: string) =>
    new UserError({ kind: "usage", what, where: "environment", fix });
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const sound = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search &&
    !url.hash;
  if (!sound) {
    throw usage(
      "OPENAI_BASE_URL is not the address of an endpoint",
      "set it to one such as http://localhost:8080/v1; a key goes into OPENAI_API_KEY",
    );
  }
  if (!/^[\x21-\x7e]*$/.test(key)) {
    // Said here, for a header that cannot be sent is quoted by the runtime's message.
    throw usage(
      "OPENAI_API_KEY holds a space, a line break or a character that no key has",
      "copy it again from where it was made",
    );
  }
  return { baseUrl: given.replace(/\/+$/, ""), ...(key !== "" && { key }) };
}
