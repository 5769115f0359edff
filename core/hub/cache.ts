/**
 * The cache that Python's `huggingface_hub` keeps: what either downloaded, the other finds.
 *
 *     <cache>/models--owner--name/refs/<revision>               the commit that a branch or tag was last seen at
 *                                /blobs/<hash>                  files by content
 *                                /snapshots/<commit>/<path>     links to them
 *                                /trees/<commit>.json           what the repository holds at that commit
 *            .locks/models--owner--name/<hash>.lock             held by whoever downloads the file
 */
import { dirname, isAbsolute, join, relative } from "node:path";
import { UserError } from "../errors.ts";
import { dataError, exists, readJson, readText, writeFileAtomic } from "../files.ts";
import type { BlobEntry } from "./blob.ts";
import { checkPath, type HubName, type RepoType } from "./names.ts";

/** A file as the Hub lists it. */
export interface RemoteFile extends BlobEntry {
  /** Within the repository. */
  readonly path: string;
  /** Git's hash of the file; for a large one, of what git keeps in its place. */
  readonly oid: string;
  /** What the file is called in the Hub's storage by chunks, if it lies there. */
  readonly xetHash?: string;
}

const COMMIT = /^[0-9a-f]{40}$/;

/** Whether a revision names a commit, so that it always means the same files. */
export function isCommit(revision: unknown): revision is string {
  return typeof revision === "string" && COMMIT.test(revision);
}

/** A repository's part of the cache. */
export class RepoCache {
  /** Folder of the repository. */
  readonly root: string;
  readonly #cache: string;
  readonly #repo: string;

  constructor(cache: string, type: RepoType, repo: string) {
    this.#cache = cache;
    this.#repo = `${type}s--${repo.replaceAll("/", "--")}`;
    this.root = join(cache, this.#repo);
  }

  /** Where the files of a commit stand at their paths. */
  snapshot(commit: string): string {
    return join(this.root, "snapshots", commit);
  }

  /** Where a file lies, by its content. */
  blob(hash: string): string {
    return join(this.root, "blobs", hash);
  }

  /** The commit that a revision was last seen at, if it was. */
  async commitOf({ revision }: HubName): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const reference = join(this.root, "refs", revision);
    if (!await exists(reference)) return undefined;
    await this.checkInside(reference);
    const commit = (await readText(reference)).trim();
    return isCommit(commit) ? commit : undefined;
  }

  /** Notes at which commit a branch or tag was seen. */
  async writeReference({ revision }: HubName, commit: string): Promise<void> {
    if (isCommit(revision) || await this.commitOf({ repo: "", revision }) === commit) return;
    await this.#note(join(this.root, "refs", revision), commit);
  }

  /** What a commit holds, as noted when it was listed; a note that cannot be used counts as none. */
  async readTree(commit: string): Promise<readonly RemoteFile[] | undefined> {
    const path = this.#tree(commit);
    if (!await exists(path)) return undefined;
    try {
      await this.checkInside(path);
      const { format_version: version, files } = await readJson(path) as {
        format_version: unknown;
        files: Record<string, Record<string, unknown>>;
      };
      if (version !== 1) return undefined;
      return Object.entries(files).map(([path, info]) =>
        remoteFile(this.#repo, {
          path,
          oid: info.blob_id,
          size: info.size,
          lfs: info.lfs_sha256 === undefined ? undefined : { oid: info.lfs_sha256, size: info.lfs_size },
          xetHash: info.xet_hash,
        })
      );
    } catch (error) {
      if (error instanceof UserError || error instanceof TypeError) return undefined;
      throw error;
    }
  }

  /** Notes what a commit holds, for use offline, and so that it need not be asked for again. */
  async writeTree(commit: string, files: readonly RemoteFile[]): Promise<void> {
    const entries = files.toSorted((a, b) => a.path < b.path ? -1 : 1).map((
      { path, hash, bytes, oid, xetHash },
    ) => [path, {
      size: bytes,
      blob_id: oid,
      ...(hash !== oid && { lfs_sha256: hash, lfs_size: bytes }),
      ...(xetHash !== undefined && { xet_hash: xetHash }),
    }]);
    const tree = { format_version: 1, files: Object.fromEntries(entries) };
    await this.#note(this.#tree(commit), JSON.stringify(tree, null, 1));
  }

  /** Forgets what a commit holds. */
  async removeTree(commit: string): Promise<void> {
    await Deno.remove(this.#tree(commit)).catch(() => {});
  }

  #tree(commit: string): string {
    return join(this.root, "trees", `${commit}.json`);
  }

  /** Writes what helps the next time. A cache that only others may write to can still hold all that is needed. */
  async #note(path: string, text: string): Promise<void> {
    await this.checkInside(path);
    await writeFileAtomic(path, text).catch(() => {});
  }

  /** Python's lock of a file, so that no two processes write to it. */
  async lock(hash: string): Promise<Deno.FsFile> {
    const folder = join(this.#cache, ".locks", this.#repo);
    await this.makeFolder(folder);
    const file = await Deno.open(join(folder, `${hash}.lock`), { write: true, create: true });
    try {
      await file.lock(true);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Makes a folder, unless a link on the way leads out of the cache. */
  async makeFolder(path: string): Promise<void> {
    await Deno.mkdir(this.#cache, { recursive: true });
    await this.checkInside(path);
    await Deno.mkdir(path, { recursive: true });
  }

  /** Whether a file is here, whole as far as its length tells. Python may keep it elsewhere in the cache. */
  async holds(path: string, bytes: number): Promise<boolean> {
    await this.checkInside(path);
    return await exists(path) && (await Deno.stat(path)).size === bytes;
  }

  /** Refuses a path that leads out of the cache, or whose nearest folder does, by links however many. */
  async checkInside(path: string): Promise<void> {
    if (!await exists(this.#cache)) return;
    const real = await realPath(path);
    const way = relative(await Deno.realPath(this.#cache), real);
    if (way.split(/[/\\]/)[0] !== ".." && !isAbsolute(way)) return;
    throw dataError(
      `A link in the cache leads out of it, to ${real}`,
      path,
      "delete the repository's folder from the cache, and download it again",
    );
  }

  /** Stands a link to a file's content at its path: a relative one, as Python makes it. */
  async link(path: string, hash: string): Promise<void> {
    const blob = this.blob(hash);
    await this.makeFolder(dirname(path));
    const target = relative(dirname(path), blob);
    try {
      if (await Deno.readLink(path) === target) return;
    } catch {
      // Not a link, or nothing: either makes room.
    }
    await Deno.remove(path).catch(() => {});
    try {
      await Deno.symlink(target, path);
    } catch (error) {
      // Another process made the same one just now.
      if (
        error instanceof Deno.errors.AlreadyExists && await Deno.readLink(path).catch(() => "") === target
      ) return;
      // Windows lets only some users make links of this kind.
      await Deno.link(blob, path);
    }
  }
}

/** Where a path leads in the end; where nothing is, the nearest folder that is there stands for it. */
async function realPath(path: string): Promise<string> {
  for (let at = path;; at = dirname(at)) {
    try {
      return await Deno.realPath(at);
    } catch (error) {
      const missing = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
      if (!missing || dirname(at) === at) throw error;
    }
    // A link to what is not there: opening it would make it there.
    const target = await Deno.readLink(at).catch(() => undefined);
    if (target !== undefined) {
      return await realPath(isAbsolute(target) ? target : join(await realPath(dirname(at)), target));
    }
  }
}

/** A file of the Hub's list, or of a note of it, once its fields are what they have to be. */
export function remoteFile(
  repo: string,
  { path, oid, size, lfs, xetHash }: {
    readonly path: string;
    readonly oid?: unknown;
    readonly size?: unknown;
    readonly lfs?: { readonly oid?: unknown; readonly size?: unknown };
    readonly xetHash?: unknown;
  },
): RemoteFile {
  checkPath(path, repo);
  const hash = lfs?.oid ?? oid, bytes = lfs?.size ?? size;
  const sound = typeof oid === "string" && typeof hash === "string" && /^[0-9a-f]{40}$/.test(oid) &&
    /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash) && Number.isSafeInteger(bytes) && bytes as number >= 0;
  if (!sound) {
    throw dataError(`The Hub gives no hash or no size of ${path}`, `repository ${repo}`, "try again later");
  }
  const xet = typeof xetHash === "string" && /^[0-9a-f]{64}$/.test(xetHash) ? { xetHash } : {};
  return { path, oid, hash, bytes: bytes as number, ...xet };
}
