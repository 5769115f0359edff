import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** The URL of a path, relative to the current folder. */
export function toFileUrl(path: string): URL {
  return pathToFileURL(resolve(path));
}

/** Where something is kept for all runs: in the user's folder for what can be made again. */
export function cacheFolder(
  what: "features" | "replies" | "tables",
  get: (name: string) => string | undefined = (name) => Deno.env.get(name),
): string {
  const user = get("HOME") || get("USERPROFILE") || ".";
  const cache = get("XDG_CACHE_HOME") || get("LOCALAPPDATA") || join(user, ".cache");
  return join(cache, "credence", what);
}
