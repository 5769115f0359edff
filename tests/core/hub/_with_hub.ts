/** What tests of the Hub's client share. */
import { join } from "node:path";
import type { HubSettings } from "../../../core/hub/settings.ts";
import { downloadSnapshot, type Snapshot, type SnapshotRequest } from "../../../core/hub/snapshot.ts";
import { withFolder } from "../../plugins/_folders.ts";
import { FakeHub } from "./_fake_hub.ts";

/** The large file of `owner/name`. */
export const WEIGHTS: Uint8Array<ArrayBuffer> = Uint8Array.from(
  { length: 100_000 },
  (_, index) => index * 7 & 255,
);

/** Its small file. */
export const CONFIG = '{"model_type":"llama"}';

/** All of that repository. */
export const REQUEST: SnapshotRequest = {
  type: "model",
  repo: "owner/name",
  revision: "main",
  wanted: () => true,
};

/** What a test works with. */
export interface Bench {
  readonly hub: FakeHub;
  readonly settings: HubSettings;
  /** Where `owner/name` lies in the cache. */
  readonly root: string;
  /** What would have been waited for, in milliseconds. */
  readonly pauses: number[];
  readonly download: (
    request?: Partial<SnapshotRequest>,
    settings?: Partial<HubSettings>,
    options?: { readonly stallMs?: number; readonly signal?: AbortSignal },
  ) => Promise<Snapshot>;
}

/** Lends a fake Hub with one repository, an empty cache, and pauses that are only counted. */
export async function withHub(work: (bench: Bench) => Promise<void>): Promise<void> {
  await withFolder(async (cache) => {
    await using hub = new FakeHub();
    hub.repositories["owner/name"] = {
      files: { "config.json": CONFIG, "model.safetensors": WEIGHTS },
      large: ["model.safetensors"],
    };
    const settings: HubSettings = { endpoint: hub.endpoint, token: "hf_secret", offline: false, cache };
    const pauses: number[] = [];
    const sleep = (milliseconds: number) => Promise.resolve(void pauses.push(milliseconds));
    await work({
      hub,
      settings,
      root: join(cache, "models--owner--name"),
      pauses,
      download: (request = {}, changed = {}, options = {}) =>
        downloadSnapshot({ ...REQUEST, ...request }, {
          ...options,
          settings: { ...settings, ...changed },
          sleep,
        }),
    });
  });
}
