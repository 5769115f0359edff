/** Results of another implementation, recorded in a file. */
import { dataError, readJson } from "../core/mod.ts";

/** One run there. */
export interface PeerResult {
  readonly method: string;
  /** Of training and evaluation. */
  readonly style: string;
  readonly seed: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** What its file says. */
export interface Peer {
  readonly name: string;
  /** What recorded it. */
  readonly script: string;
  /** Of the packages it used. */
  readonly versions: Readonly<Record<string, string>>;
  readonly results: readonly PeerResult[];
}

/** Reads recorded results. @throws {UserError} of kind `data` for a file that holds something else */
export async function readPeer(path: string): Promise<Peer> {
  const peer = await readJson(path) as Partial<Peer> | null;
  const isText = (value: unknown) => typeof value === "string";
  const isObject = (value: unknown) => typeof value === "object" && value !== null;
  const sound = isText(peer?.name) && isText(peer?.script) && isObject(peer?.versions) &&
    Array.isArray(peer?.results) &&
    peer.results.every(({ method, style, seed, metrics }) =>
      isText(method) && isText(style) && typeof seed === "number" && isObject(metrics) &&
      Object.values(metrics).every((value) => typeof value === "number")
    );
  if (sound) return peer as Peer;
  throw dataError(
    "Not recorded results",
    path,
    "a file has name, script, versions and results, as research_code.json",
  );
}
