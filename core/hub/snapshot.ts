/** Repositories of the Hub on this machine: what is missing is downloaded, what is there is found. */
import { join } from "node:path";
import type { UserError } from "../errors.ts";
import { dataError, exists, fileError } from "../files.ts";
import type { ProgressSink } from "../types.ts";
import { downloadBlob } from "./blob.ts";
import { isCommit, type RemoteFile, RepoCache } from "./cache.ts";
import type { HubName, RepoType } from "./names.ts";
import { listRemote, resolveCommit } from "./remote.ts";
import type { RequestOptions, Subject } from "./request.ts";
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

/** Downloads at a time. */
const PARALLEL = 4;

/** What one download works with. */
interface Work {
  readonly settings: HubSettings;
  readonly request: SnapshotRequest;
  readonly cache: RepoCache;
}

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
  const cache = new RepoCache(settings.cache, request.type, request.repo);
  const work: Work = { settings, request, cache };
  try {
    return settings.offline ? await findOffline(work) : await download(work, options, progress);
  } catch (error) {
    throw options.signal?.aborted ? error : fileError(error, "use", cache.root);
  }
}

/**
 * Paths of all files of a repository, of which none is downloaded; offline, of those that were listed or downloaded
 * before.
 *
 * @throws {UserError} of kind `data` if they cannot be had
 */
export async function listSnapshot(
  request: Omit<SnapshotRequest, "wanted">,
  { settings: given, progress: _, ...options }: SnapshotOptions = {},
): Promise<{ readonly commit: string; readonly paths: readonly string[] }> {
  const settings = given ?? await hubSettings();
  const cache = new RepoCache(settings.cache, request.type, request.repo);
  try {
    if (!settings.offline) {
      const { commit, all } = await listAt({ settings, request, cache }, options);
      return { commit, paths: all.map(({ path }) => path) };
    }
    const commit = await cache.commitOf(request);
    const noted = commit === undefined ? undefined : await cache.readTree(commit);
    const folder = commit === undefined ? undefined : cache.snapshot(commit);
    if (commit === undefined || !noted && !await exists(folder!)) {
      throw notHere(`${request.repo} at ${request.revision} is not in the cache`, cache);
    }
    if (noted) return { commit, paths: noted.map(({ path }) => path) };
    const paths: string[] = [];
    await cache.checkInside(folder!);
    for await (const path of filesBelow(folder!)) paths.push(path);
    return { commit, paths };
  } catch (error) {
    throw options.signal?.aborted ? error : fileError(error, "use", cache.root);
  }
}

/** The commit of a revision and all that it holds, which never changes and is noted. */
async function listAt(
  { settings, request, cache }: Omit<Work, "request"> & { readonly request: Omit<SnapshotRequest, "wanted"> },
  options: RequestOptions,
): Promise<{ readonly commit: string; readonly all: readonly RemoteFile[] }> {
  const { type, repo, revision } = request;
  const commit = isCommit(revision) ? revision : await resolveCommit(settings, request, options);
  const noted = await cache.readTree(commit);
  const all = noted ?? await listRemote(settings, { type, repo, revision: commit }, options);
  if (!noted) {
    await cache.makeFolder(cache.root);
    await cache.writeTree(commit, all);
  }
  return { commit, all };
}

async function download(work: Work, options: RequestOptions, progress?: ProgressSink): Promise<Snapshot> {
  const { request, cache } = work;
  const { commit, all } = await listAt(work, options);
  const subject: Subject = { type: request.type, repo: request.repo, revision: commit };
  const files = wantedOf(all, request, commit);
  const folder = cache.snapshot(commit);
  await cache.makeFolder(folder);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  await inParallel(files, options.signal, async (file, signal) => {
    const received = (bytes: number) => progress?.update(done += bytes, total, file.path);
    await bring(work, subject, file, received, { ...options, signal });
  });
  // Only now, so that the branch means a whole snapshot offline, if an older one.
  await cache.writeReference(request, commit);
  return { folder, commit };
}

/** Works on all items, a few at a time; where one fails the others are stopped, and it is thrown. */
async function inParallel<T>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const either = AbortSignal.any([stop.signal, ...(signal ? [signal] : [])]);
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      either.throwIfAborted();
      try {
        await work(item, either);
      } catch (error) {
        stop.abort(error);
        throw error;
      }
    }
  };
  await Promise.allSettled(Array.from({ length: PARALLEL }, worker));
  either.throwIfAborted();
}

function wantedOf(
  all: readonly RemoteFile[],
  { repo, wanted }: SnapshotRequest,
  commit: string,
): readonly RemoteFile[] {
  const paths = all.map(({ path }) => path);
  const files = all.filter(({ path }) => wanted(path, paths));
  if (files.length > 0) return files;
  throw dataError(
    `${repo} holds none of the files that are needed`,
    `repository ${repo} at ${commit}, which holds ${paths.slice(0, 8).join(", ") || "nothing"}`,
    "use a repository with weights in safetensors format",
  );
}

/** Sees to it that a file is in the cache, and that the snapshot has it at its path. */
async function bring(
  { settings, cache }: Work,
  subject: Subject,
  { path, hash, bytes }: RemoteFile,
  received: (bytes: number) => void,
  options: RequestOptions,
): Promise<void> {
  const place = join(cache.snapshot(subject.revision), path);
  // Where there are no links, Python keeps the file itself here.
  if (await cache.holds(place, bytes)) return received(bytes);
  const target = cache.blob(hash);
  if (await cache.holds(target, bytes)) received(bytes);
  else {
    await cache.makeFolder(cache.blob(""));
    using _held = await cache.lock(hash);
    if (await cache.holds(target, bytes)) received(bytes);
    else {
      await cache.checkInside(`${target}.incomplete`);
      const kind = subject.type === "dataset" ? "datasets/" : "";
      const file = path.split("/").map(encodeURIComponent).join("/");
      const url = `${settings.endpoint}/${kind}${subject.repo}/resolve/${subject.revision}/${file}`;
      const download = { subject: { ...subject, path }, url, hash, bytes, target, received };
      const fault = await downloadBlob(settings, download, options);
      if (fault !== undefined) {
        // If it was the note of what the commit holds that is wrong, it shall not be wrong again.
        await cache.removeTree(subject.revision);
        throw damaged(subject, path, fault);
      }
    }
  }
  await cache.link(place, hash);
}

function damaged({ repo, revision }: Subject, path: string, fault: string): UserError {
  return dataError(
    `The download of ${path} is damaged: ${fault}`,
    `repository ${repo} at ${revision}`,
    "run the same command again; if that does not help, the file on the Hub is broken",
  );
}

/** A snapshot that was downloaded before, by whomever. */
async function findOffline({ request, cache }: Work): Promise<Snapshot> {
  const { repo, revision, wanted } = request;
  const refuse = (what: string) => notHere(what, cache);
  const commit = await cache.commitOf(request);
  const folder = commit === undefined ? undefined : cache.snapshot(commit);
  if (commit === undefined || folder === undefined || !await exists(folder)) {
    throw refuse(`${repo} at ${revision} is not in the cache`);
  }
  const here: string[] = [], missing: string[] = [];
  await cache.checkInside(folder);
  for await (const path of filesBelow(folder)) {
    await cache.checkInside(join(folder, path));
    // A link may be left without its file.
    (await exists(join(folder, path)) ? here : missing).push(path);
  }
  const known = (await cache.readTree(commit))?.map(({ path }) => path) ?? [...here, ...missing];
  const needed = known.filter((path) => wanted(path, known));
  const lacking = needed.filter((path) => !here.includes(path));
  if (lacking.length > 0) {
    const names = lacking.slice(0, 3).join(", ");
    const more = lacking.length > 3 ? ` and ${lacking.length - 3} more` : "";
    throw refuse(`${repo} at ${revision} was downloaded in part: there is no ${names}${more}`);
  }
  if (needed.length === 0) throw refuse(`None of the files that are needed of ${repo} is in the cache`);
  return { folder, commit };
}

function notHere(what: string, cache: RepoCache): UserError {
  return dataError(
    `${what}, and HF_HUB_OFFLINE forbids to download`,
    cache.root,
    "run the command once without HF_HUB_OFFLINE",
  );
}

/** Paths of all files below a folder, links among them, with slashes. */
async function* filesBelow(folder: string, prefix = ""): AsyncIterable<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* filesBelow(join(folder, name), `${prefix}${name}/`);
    else yield prefix + name;
  }
}
