/** Where the Hub is, and who asks: the environment variables of Python's `huggingface_hub`. */
import { join } from "node:path";
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

/** Reads the environment. */
export async function hubSettings(
  get: (name: string) => string | undefined = readVariable,
): Promise<HubSettings> {
  const home = get("HF_HOME") ??
    join(get("XDG_CACHE_HOME") ?? join(get("HOME") ?? ".", ".cache"), "huggingface");
  const tokenPath = get("HF_TOKEN_PATH") ?? join(home, "token");
  const saved = await exists(tokenPath) ? await readText(tokenPath) : "";
  const token = (get("HF_TOKEN") ?? get("HUGGING_FACE_HUB_TOKEN") ?? saved).trim();
  return {
    endpoint: (get("HF_ENDPOINT") ?? "https://huggingface.co").replace(/\/+$/, ""),
    ...(token !== "" && { token }),
    offline: /^(1|on|yes|true)$/i.test(get("HF_HUB_OFFLINE") ?? ""),
    cache: get("HF_HUB_CACHE") ?? get("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"),
  };
}

/** A variable that is set to nothing counts as absent, as in Python. */
function readVariable(name: string): string | undefined {
  return Deno.env.get(name) || undefined;
}
