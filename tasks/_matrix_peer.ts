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
  /** The model that answered and judged, by its name in the matrix file. */
  readonly model: string;
  readonly dataset: string;
  /** SHA-256 of the labelled answers that it read, by style and split. */
  readonly labels: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly results: readonly PeerResult[];
}

/** Reads recorded results. @throws {UserError} of kind `data` for a file that holds something else */
export async function readPeer(path: string): Promise<Peer> {
  const peer = await readJson(path) as Partial<Peer> | null;
  const isText = (value: unknown) => typeof value === "string";
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null;
  const sound = [peer?.name, peer?.script, peer?.model, peer?.dataset].every(isText) &&
    isObject(peer?.versions) && isObject(peer?.labels) && Array.isArray(peer?.results) &&
    peer.results.every((result: unknown) =>
      isObject(result) && isText(result.method) && isText(result.style) && typeof result.seed === "number" &&
      isObject(result.metrics) && Object.values(result.metrics).every((value) => typeof value === "number")
    );
  if (sound) return peer as Peer;
  throw dataError(
    "Not recorded results",
    path,
    "give a file like assets/facts/research_code.json: name, script, versions, model, dataset, labels, results",
  );
}
