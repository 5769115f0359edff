/** Where the Hub is, and who asks: the environment variables of Python's `huggingface_hub`. */
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { exists, readText } from "../files.ts";

/** How the Hub is reached. */
export interface HubSettings {
  /** `HF_ENDPOINT`, without a slash at its end. */
  readonly endpoint: string;
  /** `HF_TOKEN`, or what `hf auth login` saved. Never goes anywhere but to the endpoint. */
  readonly token?: string;
  /** `HF_HUB_OFFLINE`: use only what was downloaded before. */
  readonly offline: boolean;
  /** Folder of all downloads: `HF_HUB_CACHE`, or `hub` below `HF_HOME`. */
  readonly cache: string;
}

/** Reads the environment. @throws {UserError} of kind `usage` for a variable that cannot be meant */
export async function hubSettings(
  get: (name: string) => string | undefined = (name) => Deno.env.get(name),
): Promise<HubSettings> {
  // A variable that is set to nothing counts as absent, as in Python.
  const text = (name: string) => get(name) || undefined;
  const isTrue = (value = "") => /^(1|on|yes|true)$/i.test(value);
  const path = (name: string) => folderIn(name, get);
  const home = hubHome(get);
  const token = isTrue(text("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
    ? undefined
    : await readToken(text, path("HF_TOKEN_PATH") ?? join(home, "token"));
  return {
    endpoint: endpointOf(text("HF_ENDPOINT") ?? "https://huggingface.co"),
    ...(token !== undefined && { token }),
    offline: isTrue(text("HF_HUB_OFFLINE") ?? text("TRANSFORMERS_OFFLINE")),
    cache: path("HF_HUB_CACHE") ?? path("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"),
  };
}

/** Folder of the Hub on this machine: `HF_HOME`, or `huggingface` in the user's folder for what can be made again. */
export function hubHome(
  get: (name: string) => string | undefined = (name) => Deno.env.get(name),
): string {
  return folderIn("HF_HOME", get) ??
    join(folderIn("XDG_CACHE_HOME", get) ?? join(userFolder(get), ".cache"), "huggingface");
}

function userFolder(get: (name: string) => string | undefined): string {
  return get("HOME") || get("USERPROFILE") || ".";
}

/** The folder in a variable, where it is set. */
function folderIn(name: string, get: (name: string) => string | undefined): string | undefined {
  return (get(name) || undefined)?.replace(/^~(?=$|[/\\])/, () => userFolder(get));
}

function endpointOf(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash) {
    return given.replace(/\/+$/, "");
  }
  throw new UserError({
    kind: "usage",
    what: `HF_ENDPOINT is ${JSON.stringify(given)}`,
    where: "environment",
    fix: "set it to an address such as https://huggingface.co; a token goes into HF_TOKEN",
  });
}

async function readToken(
  text: (name: string) => string | undefined,
  path: string,
): Promise<string | undefined> {
  const [where, given] = text("HF_TOKEN")
    ? ["HF_TOKEN", text("HF_TOKEN")!]
    : text("HUGGING_FACE_HUB_TOKEN")
    ? ["HUGGING_FACE_HUB_TOKEN", text("HUGGING_FACE_HUB_TOKEN")!]
    : [path, await exists(path) ? await readText(path) : ""];
  const token = given.trim();
  if (/^[\x21-\x7e]*$/.test(token)) return token === "" ? undefined : token;
  // Said here, for a header that cannot be sent is quoted by the runtime's message.
  throw new UserError({
    kind: "usage",
    what: "The token of the Hub holds a space, a line break or a character that no token has",
    where,
    fix: "copy it again from https://huggingface.co/settings/tokens",
  });
}
