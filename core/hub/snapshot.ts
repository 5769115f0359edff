/**
 * Repositories of the Hub on this machine, in the cache that Python's `huggingface_hub` keeps: what either downloaded,
 * the other finds.
 *
 *     <cache>/models--owner--name/refs/<revision>               the commit that a branch or tag was last seen at
 *                                /blobs/<hash>                  files by content
 *                                /snapshots/<commit>/<path>     links to them
 */
import { dirname, join, relative, resolve } from "node:path";
import { UserError } from "../errors.ts";
import { dataError, exists, readText, writeFileAtomic } from "../files.ts";
import type { ProgressSink } from "../types.ts";
import { type BlobEntry, downloadBlob } from "./blob.ts";
import { checkPath, type HubName, type RepoType } from "./names.ts";
import { hubFetch, type RequestOptions, type Subject } from "./request.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** What to download. */
export interface SnapshotRequest extends HubName {
  /** What kind of repository it is. */
  readonly type: RepoType;
  /** Which of the repository's files are wanted. */
  readonly wanted: (path: string, all: readonly string[]) => boolean;
}

/** What surrounds a download. */
export interface SnapshotOptions extends RequestOptions {
  /** Told of bytes over all files. */
  readonly progress?: ProgressSink;
  /** How the Hub is reached; the environment says if absent. */
  readonly settings?: HubSettings;
}

/** A repository on this machine. */
export interface Snapshot {
  /** Holds the files at their paths. */
  readonly folder: string;
  /** The commit, in 40 hexadecimal digits, whatever the revision was called. */
  readonly commit: string;
}

interface RemoteFile extends BlobEntry {
  readonly path: string;
}

/** Downloads at a time. */
const PARALLEL = 4;

const COMMIT = /^[0-9a-f]{40}$/;

/**
 * Downloads the wanted files of a repository, but for those that are here already.
 *
 * @throws {UserError} of kind `data` if something cannot be had; what was downloaded stays for the next try
 */
export async function downloadSnapshot(
  request: SnapshotRequest,
  { settings: given, progress, ...options }: SnapshotOptions = {},
): Promise<Snapshot> {
  const settings = given ?? await hubSettings();
  const root = join(settings.cache, `${request.type}s--${request.repo.replaceAll("/", "--")}`);
  if (settings.offline) return await offlineSnapshot(request, root);
  const commit = await resolveCommit(settings, request, options);
  const subject: Subject = { type: request.type, repo: request.repo, revision: commit };
  const files = await remoteFiles(settings, subject, request, options);
  if (!COMMIT.test(request.revision)) await writeFileAtomic(join(root, "refs", request.revision), commit);
  const folder = join(root, "snapshots", commit);
  await Deno.mkdir(folder, { recursive: true });
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const queue = [...files];
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const { path } = file;
      const received = (bytes: number) => progress?.update(done += bytes, total, path);
      await bring(settings, subject, root, folder, file, received, options);
    }
  };
  const results = await Promise.allSettled(Array.from({ length: PARALLEL }, worker));
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return { folder, commit };
}

async function offlineSnapshot({ repo, revision }: SnapshotRequest, root: string): Promise<Snapshot> {
  const reference = join(root, "refs", revision);
  const commit = COMMIT.test(revision)
    ? revision
    : await exists(reference)
    ? (await readText(reference)).trim()
    : undefined;
  const folder = commit !== undefined && COMMIT.test(commit) ? join(root, "snapshots", commit) : undefined;
  if (folder === undefined || !await exists(folder)) {
    throw dataError(
      `${repo} at ${revision} was not downloaded, and HF_HUB_OFFLINE forbids to`,
      root,
      "run the command once without HF_HUB_OFFLINE",
    );
  }
  await checkLinks(folder, root);
  return { folder, commit: commit! };
}

/** Refuses a snapshot with a link that leads out of its repository's folder. */
async function checkLinks(folder: string, root: string): Promise<void> {
  for await (const { name, isSymlink, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) await checkLinks(path, root);
    else if (isSymlink) await checkLink(path, root);
  }
}

async function checkLink(path: string, root: string): Promise<void> {
  const target = resolve(dirname(path), await Deno.readLink(path));
  if (!relative(root, target).startsWith("..")) return;
  throw dataError(
    `A link in the cache leads out of it, to ${target}`,
    path,
    "delete the repository's folder from the cache, and download it again",
  );
}

async function resolveCommit(
  settings: HubSettings,
  request: SnapshotRequest,
  options: RequestOptions,
): Promise<string> {
  const { type, repo, revision } = request;
  if (COMMIT.test(revision)) return revision;
  const { datasetInfo, modelInfo } = await hubPackage();
  const asked = {
    name: repo,
    revision,
    hubUrl: settings.endpoint,
    fetch: fetchFor(settings, request, options),
  };
  const { sha } = type === "model"
    ? await modelInfo({ ...asked, additionalFields: ["sha"] })
    : await datasetInfo({ ...asked, additionalFields: ["sha"] });
  if (typeof sha === "string" && COMMIT.test(sha)) return sha;
  throw dataError(
    `The Hub names no commit for ${repo} at ${revision}`,
    settings.endpoint,
    "check HF_ENDPOINT, or try again later",
  );
}

async function remoteFiles(
  settings: HubSettings,
  subject: Subject,
  { repo, type, wanted }: SnapshotRequest,
  options: RequestOptions,
): Promise<readonly RemoteFile[]> {
  const { listFiles } = await hubPackage();
  const found: RemoteFile[] = [];
  const listed = listFiles({
    repo: { type, name: repo },
    recursive: true,
    revision: subject.revision,
    hubUrl: settings.endpoint,
    fetch: fetchFor(settings, subject, options),
  });
  for await (const { type, path, size, oid, lfs } of listed) {
    if (type !== "file") continue;
    checkPath(path, repo);
    found.push({ path, hash: lfs?.oid ?? oid ?? "", bytes: lfs?.size ?? size });
  }
  const paths = found.map(({ path }) => path);
  const files = found.filter(({ path }) => wanted(path, paths));
  const unnamed = files.find(({ hash }) => !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash));
  if (unnamed) {
    throw dataError(`The Hub gives no hash of ${unnamed.path}`, `repository ${repo}`, "try again later");
  }
  if (files.length > 0) return files;
  throw dataError(
    `${repo} holds none of the files that are needed`,
    `repository ${repo} at ${subject.revision}, which holds ${paths.slice(0, 8).join(", ") || "nothing"}`,
    "use a repository with weights in safetensors format",
  );
}

/** Loaded only by those who go to the Hub: it is large. */
function hubPackage(): Promise<typeof import("@huggingface/hub")> {
  return import("@huggingface/hub");
}

/** The package's requests, with our credentials, retries and errors. */
function fetchFor(settings: HubSettings, subject: Subject, options: RequestOptions): typeof fetch {
  return (input, init) =>
    hubFetch(settings, subject, input instanceof Request ? input.url : input, init as RequestInit, options);
}

/** Sees to it that a file is in the cache, and that the snapshot has a link to it. */
async function bring(
  settings: HubSettings,
  subject: Subject,
  root: string,
  folder: string,
  { path, hash, bytes }: RemoteFile,
  received: (bytes: number) => void,
  options: RequestOptions,
): Promise<void> {
  const blob = join(root, "blobs", hash);
  if (await sizeOf(blob) !== bytes) {
    // Python's lock of the same file, so that no two processes write to it.
    const lock = join(settings.cache, ".locks", root.slice(settings.cache.length + 1), `${hash}.lock`);
    await Deno.mkdir(dirname(lock), { recursive: true });
    using held = await Deno.open(lock, { write: true, create: true });
    await held.lock(true);
    if (await sizeOf(blob) === bytes) received(bytes);
    else {
      const kind = subject.type === "dataset" ? "datasets/" : "";
      const file = path.split("/").map(encodeURIComponent).join("/");
      const url = `${settings.endpoint}/${kind}${subject.repo}/resolve/${subject.revision}/${file}`;
      await downloadBlob(settings, { ...subject, path }, url, { hash, bytes }, blob, received, options);
    }
  } else received(bytes);
  await link(join(folder, path), blob);
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await exists(path) ? (await Deno.stat(path)).size : undefined;
}

/** A relative link, as Python makes it; one that stands there already is replaced if it leads elsewhere. */
async function link(path: string, blob: string): Promise<void> {
  const target = relative(dirname(path), blob);
  await Deno.mkdir(dirname(path), { recursive: true });
  try {
    if (await Deno.readLink(path) === target) return;
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      if (!(error instanceof Error) || !/invalid argument|not a/i.test(error.message)) throw error;
      // A system without links: Python keeps a copy there.
      return;
    }
  }
  try {
    await Deno.symlink(target, path);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    throw new UserError({
      kind: "data",
      what: "Cannot make a link in the cache",
      where: path,
      fix: "use a cache (HF_HOME) on a file system with links",
      cause: error,
    });
  }
}
