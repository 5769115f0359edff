/** The writing half of the fake Hub: repositories are made, files uploaded and committed, in the Hub's own steps. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { FakeRepository } from "./_fake_hub.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Files that the Hub stores as large ones, by its usual `.gitattributes`. */
const LARGE = /\.(safetensors|bin|pt|parquet)$/;

/** Whether a file comes from the second server. */
export function isLarge({ large }: FakeRepository, path: string): boolean {
  return large?.includes(path) ?? false;
}

/** An error as the Hub words it. */
export function fail(status: number, code: string): Response {
  return Response.json({ error: code }, { status, headers: { "x-error-code": code } });
}

interface CommitLine {
  readonly key: "header" | "file" | "lfsFile" | "deletedFile";
  readonly value: {
    readonly summary: string;
    readonly path: string;
    readonly content: string;
    readonly oid: string;
  };
}

export class FakeUploads {
  readonly #repositories: Record<string, FakeRepository>;
  readonly #storage: string;
  /** Large files that were uploaded, by SHA-256, whether they are part of a commit yet or not. */
  readonly #uploaded = new Map<string, Bytes>();

  /** @param storage address of the server that takes large files */
  constructor(repositories: Record<string, FakeRepository>, storage: string) {
    this.#repositories = repositories;
    this.#storage = storage;
  }

  /** A request to change something; any token will do but `hf_reader`, and there must be one. */
  async post(path: string, request: Request): Promise<Response> {
    const token = request.headers.get("authorization");
    if (token === null) return fail(401, "Unauthorized");
    if (token === "Bearer hf_reader") return fail(403, "Forbidden");
    if (path === "/api/repos/create") return this.#create(await request.json());
    const batch = /^\/(?:datasets\/)?(.+)\.git\/info\/lfs\/objects\/batch$/.exec(path);
    const [, name, step] = batch ??
      /^\/api\/(?:model|dataset)s\/(.+?)\/(preupload|commit)\/main$/.exec(path) ?? [];
    if (name === undefined || !Object.hasOwn(this.#repositories, name)) return fail(404, "RepoNotFound");
    if (batch) return this.#batch(await request.json());
    if (step === "commit") return this.#commit(name, await request.text());
    const { files } = await request.json() as { files: { path: string }[] };
    const mode = (path: string) => LARGE.test(path) ? "lfs" : "regular";
    return Response.json({
      files: files.map(({ path }) => ({ path, uploadMode: mode(path), shouldIgnore: false })),
    });
  }

  /** A large file itself. */
  async put(path: string, request: Request): Promise<Response> {
    const bytes = new Uint8Array(await request.arrayBuffer());
    const hash = createHash("sha256").update(bytes).digest("hex");
    if (path !== `/upload/${hash}`) return fail(400, "WrongHash");
    this.#uploaded.set(hash, bytes);
    return new Response(null, { headers: { etag: `"${hash}"` } });
  }

  #create(
    { organization, name, type, private: hidden, visibility }: {
      readonly organization: string;
      readonly name: string;
      readonly type: "model" | "dataset";
      readonly private?: boolean;
      readonly visibility?: string;
    },
  ): Response {
    const repo = `${organization}/${name}`;
    if (Object.hasOwn(this.#repositories, repo)) return fail(409, "RepoExists");
    this.#repositories[repo] = { type, files: {}, history: [], private: hidden ?? visibility === "private" };
    return Response.json({ url: `https://huggingface.co/${repo}`, id: repo, name: repo });
  }

  #batch(
    { objects }: { readonly objects: readonly { readonly oid: string; readonly size: number }[] },
  ): Response {
    return Response.json({
      transfer: "basic",
      objects: objects.map(({ oid, size }) => ({
        oid,
        size,
        // What is there already needs no upload.
        ...(!this.#uploaded.has(oid) && { actions: { upload: { href: `${this.#storage}/upload/${oid}` } } }),
      })),
    });
  }

  #commit(name: string, text: string): Response {
    const lines = text.split("\n").map((line) => JSON.parse(line) as CommitLine);
    const before = this.#repositories[name];
    const files = { ...before.files }, large = new Set(before.large);
    for (const { key, value: { path, content, oid } } of lines) {
      if (key === "header") continue;
      large.delete(path);
      if (key === "deletedFile") delete files[path];
      else if (key === "file") files[path] = new Uint8Array(Buffer.from(content, "base64"));
      else {
        const bytes = this.#uploaded.get(oid);
        if (!bytes) return fail(400, "LfsObjectNotFound");
        files[path] = bytes;
        large.add(path);
      }
    }
    const history = [...before.history ?? [], lines.find(({ key }) => key === "header")!.value.summary];
    const commit = createHash("sha1").update(`${name}${history.length}${text}`).digest("hex");
    this.#repositories[name] = { ...before, files, large: [...large], commit, history };
    return Response.json({
      success: true,
      commitOid: commit,
      commitUrl: `https://huggingface.co/${name}/commit/${commit}`,
      hookOutput: "",
    });
  }
}
