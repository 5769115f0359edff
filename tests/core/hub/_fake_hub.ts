/** A server that speaks the Hub's API, and misbehaves on request. */
import { createHash } from "node:crypto";

/** A repository as the fake serves it. */
export interface FakeRepository {
  readonly type?: "model" | "dataset";
  readonly files: Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>;
  /** Files that are stored as large ones: their hash is SHA-256, and they come from a second server. */
  readonly large?: readonly string[];
  readonly gated?: boolean;
}

/** What goes wrong with the next requests for a path; each is used up by one. */
export type Fault =
  /** The connection breaks after so many bytes. */
  | { readonly cutAfter: number }
  /** Another file's bytes of the same length. */
  | { readonly damaged: true }
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The whole file, though a part was asked for. */
  | { readonly ignoreRange: true };

/** The commit at which every repository stands. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export const gitHash = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

export class FakeHub implements AsyncDisposable {
  readonly repositories: Record<string, FakeRepository> = {};
  /** Faults by path. */
  readonly faults: Record<string, Fault[]> = {};
  /** Names that the listing has instead of the real ones. */
  readonly renamed: Record<string, string> = {};
  /** What was put into each repository, by path, and whether it was made private. */
  readonly uploaded: Record<string, { private: boolean; title: string; files: Record<string, string> }> = {};
  /** Large files by hash, before a commit names them. */
  readonly #objects = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Method, path, range and token of every request, in order; `cdn` marks the second server. */
  readonly seen: { server: "hub" | "cdn"; path: string; range: string | null; token: string | null }[] = [];
  readonly #hub: Deno.HttpServer<Deno.NetAddr>;
  readonly #cdn: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    const serve = (handler: (request: Request) => Response | Promise<Response>) =>
      Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler) as Deno.HttpServer<
        Deno.NetAddr
      >;
    this.#hub = serve((request) => request.method === "POST" ? this.#write(request) : this.#answer(request));
    this.#cdn = serve((request) => request.method === "PUT" ? this.#store(request) : this.#large(request));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#hub.addr.port}`;
  }

  /** Requests for a file, on either server. */
  requestsFor(path: string): { range: string | null; token: string | null; server: string }[] {
    return this.seen.filter((request) => request.path.endsWith(`/${path}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#hub.shutdown(), this.#cdn.shutdown()]);
  }

  #note(server: "hub" | "cdn", request: Request): URL {
    const url = new URL(request.url);
    const { headers } = request;
    this.seen.push({
      server,
      path: url.pathname,
      range: headers.get("range"),
      token: headers.get("authorization"),
    });
    return url;
  }

  #answer(request: Request): Response {
    const { pathname } = this.#note("hub", request);
    const api = /^\/api\/(model|dataset)s\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(pathname);
    if (api) return this.#api(api[1], api[2], api[3], decodeURIComponent(api[4]), pathname);
    const [, prefix, name, revision, path] =
      /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(pathname) ?? [];
    const found = this.#find(prefix ? "dataset" : "model", name, revision);
    if (found instanceof Response) return found;
    const decoded = decodeURIComponent(path);
    const fault = this.#fault(decoded);
    if (fault instanceof Response) return fault;
    const bytes = bytesOf(found.files[decoded]);
    if (!bytes) return failure(404, "EntryNotFound");
    const commit = { "x-repo-commit": COMMIT };
    if (!found.large?.includes(decoded)) {
      return body(bytes, request, fault, { ...commit, etag: `"${gitHash(bytes)}"` });
    }
    if (fault) this.faults[decoded].unshift(fault);
    const location = `http://127.0.0.1:${this.#cdn.addr.port}/${name}/${decoded}?signature=secret`;
    const linked = { "x-linked-etag": `"${sha256(bytes)}"`, "x-linked-size": String(bytes.length) };
    return new Response(null, { status: 302, headers: { location, ...commit, ...linked } });
  }

  /** Making a repository, and putting files there: the requests that the package makes, in their order. */
  async #write(request: Request): Promise<Response> {
    const { pathname } = this.#note("hub", request);
    const fault = this.#fault(pathname);
    if (fault instanceof Response) return fault;
    if (!request.headers.get("authorization")) return failure(401, "Unauthorized");
    if (pathname === "/api/repos/create") {
      const { name, organization, private: hidden, visibility } = await request.json();
      const repo = organization ? `${organization}/${name}` : name;
      if (this.uploaded[repo]) return failure(409, "RepoExists");
      this.uploaded[repo] = { private: hidden === true || visibility === "private", title: "", files: {} };
      return Response.json({ url: `${this.endpoint}/${repo}`, id: repo });
    }
    if (pathname.includes("/preupload/")) {
      const { files } = await request.json() as { files: { path: string }[] };
      const modeOf = (path: string) => path.endsWith(".safetensors") ? "lfs" : "regular";
      return Response.json({
        files: files.map(({ path }) => ({ path, uploadMode: modeOf(path), shouldIgnore: false })),
      });
    }
    if (pathname.endsWith("/info/lfs/objects/batch")) {
      const { objects } = await request.json() as { objects: { oid: string; size: number }[] };
      const href = (oid: string) => `http://127.0.0.1:${this.#cdn.addr.port}/${oid}`;
      const actions = (oid: string) => ({ upload: { href: href(oid) } });
      return Response.json({
        transfer: "basic",
        objects: objects.map(({ oid, size }) => ({ oid, size, actions: actions(oid) })),
      });
    }
    const repo = /^\/api\/models\/(.+)\/commit\/main$/.exec(pathname)?.[1];
    if (repo === undefined) return failure(404, "EntryNotFound");
    const { files } = this.uploaded[repo];
    for (const line of (await request.text()).trim().split("\n")) {
      const { key, value } = JSON.parse(line);
      if (key === "header") this.uploaded[repo].title = value.summary;
      else if (key === "file") {
        files[value.path] = new TextDecoder().decode(Uint8Array.fromBase64(value.content));
      } else files[value.path] = sha256(this.#objects.get(value.oid)!);
    }
    return Response.json({
      success: true,
      commitOid: COMMIT,
      commitUrl: `${this.endpoint}/${repo}/commit/${COMMIT}`,
    });
  }

  async #store(request: Request): Promise<Response> {
    const { pathname } = this.#note("cdn", request);
    this.#objects.set(pathname.slice(1), new Uint8Array(await request.arrayBuffer()));
    return new Response(null, { status: 200 });
  }

  #large(request: Request): Response {
    const { pathname } = this.#note("cdn", request);
    const [, name, path] = /^\/([^/]+\/[^/]+)\/(.+)$/.exec(pathname) ?? [];
    const fault = this.#fault(path);
    return fault instanceof Response
      ? fault
      : body(bytesOf(this.repositories[name].files[path])!, request, fault);
  }

  #api(type: string, name: string, what: string, revision: string, pathname: string): Response {
    const fault = this.#fault(pathname);
    if (fault instanceof Response) return fault;
    const found = this.#find(type, name, revision);
    if (found instanceof Response) return found;
    if (what === "revision") {
      return Response.json({ _id: "1", id: name, modelId: name, sha: COMMIT, private: false });
    }
    return Response.json(
      Object.entries(found.files).map(([path, content]) => {
        const bytes = bytesOf(content)!, large = found.large?.includes(path);
        return {
          type: "file",
          path: this.renamed[path] ?? path,
          oid: large ? "f".repeat(40) : gitHash(bytes),
          size: bytes.length,
          ...(large && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
        };
      }),
    );
  }

  #find(type: string, name: string, revision: string): FakeRepository | Response {
    const found = this.repositories[name];
    if (!found || (found.type ?? "model") !== type) return failure(401, "RepoNotFound");
    if (found.gated) return failure(403, "GatedRepo");
    return ["main", "v1", "refs/convert/parquet", COMMIT].includes(revision)
      ? found
      : failure(404, "RevisionNotFound");
  }

  #fault(path: string): Fault | Response | undefined {
    const fault = this.faults[path]?.shift();
    return fault && "status" in fault ? new Response("x", fault) : fault;
  }
}

function failure(status: number, code: string): Response {
  return Response.json({ error: code }, { status, headers: { "x-error-code": code } });
}

function bytesOf(content: Uint8Array<ArrayBuffer> | string | undefined): Uint8Array<ArrayBuffer> | undefined {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

/** A file, or the part that was asked for, with what goes wrong on the way. */
function body(
  whole: Uint8Array<ArrayBuffer>,
  request: Request,
  fault?: Fault,
  more: Readonly<Record<string, string>> = {},
): Response {
  const bytes = fault && "damaged" in fault ? whole.map((byte) => byte ^ 1) : whole;
  const range = fault && "ignoreRange" in fault
    ? null
    : /^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "");
  const start = range ? Number(range[1]) : 0;
  const part = bytes.slice(start);
  const headers = {
    ...more,
    "content-length": String(part.length),
    ...(range && { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
  };
  const status = range ? 206 : 200;
  if (!fault || !("cutAfter" in fault)) return new Response(part, { status, headers });
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async start(controller) {
      controller.enqueue(part.slice(0, fault.cutAfter));
      // Let what was sent arrive before the connection goes.
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.error(new Error("cut"));
    },
  });
  return new Response(stream, { status, headers });
}
