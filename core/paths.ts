import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** The URL of a path, relative to the current folder. */
export function toFileUrl(path: string): URL {
  return pathToFileURL(resolve(path));
}
