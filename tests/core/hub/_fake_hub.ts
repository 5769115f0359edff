/**
 * A server that speaks the Hub's API, and misbehaves on request: what is there can be listed and downloaded, and with
 * a token made and changed. Large files come from a second server, as on the Hub.
 */
import { createHash } from "node:crypto";
import { fail, FakeUploads, isLarge } from "./_fake_uploads.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A repository as the fake serves it. */
export interface FakeRepository {
  readonly type?: "model" | "dataset";
  readonly files: Readonly<Record<string, Bytes | string>>;
  /** Files that are stored as large ones: their hash is SHA-256, and they come from a second server. */
  readonly large?: readonly string[];
  readonly gated?: boolean;
  readonly private?: boolean;
  /** At which it stands; {@linkcode COMMIT} if absent. */
  readonly commit?: string;
  /** What its commits were called, the oldest first; absent where it was not made by a request. */
  readonly history?: readonly string[];
}

/** What goes wrong with the next requests for a path; each is used up by one. */
export type Fault =
  /** The connection breaks after so many bytes. */
  | { readonly cutAfter: number }
  /** Nothing comes after so many bytes, and the connection stays. */
  | { readonly stallAfter: number }
  /** The file ends after so many bytes, and the server says so. */
  | { readonly endsAfter: number }
  /** More comes than the list says. */
  | { readonly longer: true }
  /** Another file's bytes of the same length. */
  | { readonly damaged: true }
  /** Another file's bytes under a tag of their own, as if the file had changed meanwhile. */
  | { readonly changed: true }
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** A reply of 200 that is not what was asked for, such as the log-in page of a hotel. */
  | { readonly reply: string; readonly headers?: Readonly<Record<string, string>> }
  /** The whole file, though a part was asked for. */
  | { readonly ignoreRange: true };

/** The commit at which every repository stands at first. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export const gitHash = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

/** A request as it came. */
export interface SeenRequest {
  /** `cdn` is the second server. */
  readonly server: "hub" | "cdn";
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
  readonly ifRange: string | null;
  readonly token: string | null;
}

export class FakeHub implements AsyncDisposable {
  readonly repositories: Record<string, FakeRepository> = {};
  /** Faults by path: of a file within its repository, or of a request to the API. */
  readonly faults: Record<string, Fault[]> = {};
  /** Names that the listing has instead of the real ones. */
  readonly renamed: Record<string, string> = {};
  /** Every request, in order. */
  readonly seen: SeenRequest[] = [];
  readonly #hub: Deno.HttpServer<Deno.NetAddr>;
  readonly #cdn: Deno.HttpServer<Deno.NetAddr>;
  readonly #uploads: FakeUploads;
  readonly #stalled = new Set<ReadableStreamDefaultController>();

  /** @param port of the first server; any free one if absent */
  constructor(port = 0) {
    const serve = (port: number, handler: Deno.ServeHandler) =>
      Deno.serve({ port, hostname: "127.0.0.1", onListen: () => {} }, handler) as Deno.HttpServer<
        Deno.NetAddr
      >;
    this.#hub = serve(port, (request) => this.#answer(request));
    this.#cdn = serve(0, (request) => this.#large(request));
    this.#uploads = new FakeUploads(this.repositories, `http://127.0.0.1:${this.#cdn.addr.port}`);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#hub.addr.port}`;
  }

  /** What was put into each repository that was made: texts by path, and of large files the hash. */
  get uploaded(): Record<string, { private: boolean; title: string; files: Record<string, string> }> {
    const made = Object.entries(this.repositories).filter(([, { history }]) => history !== undefined);
    return Object.fromEntries(made.map(([name, repository]) => {
      const files = Object.entries(repository.files).map(([path, content]) => {
        const bytes = bytesOf(content)!;
        return [path, isLarge(repository, path) ? sha256(bytes) : new TextDecoder().decode(bytes)];
      });
      const { private: hidden = false, history } = repository;
      return [name, { private: hidden, title: history!.at(-1) ?? "", files: Object.fromEntries(files) }];
    }));
  }

  /** Requests for a file, on either server. */
  requestsFor(path: string): readonly SeenRequest[] {
    return this.seen.filter((request) => request.path.endsWith(`/${path}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stalled.forEach((controller) => controller.close());
    await Promise.all([this.#hub.shutdown(), this.#cdn.shutdown()]);
  }

  #note(server: "hub" | "cdn", { url, method, headers }: Request): string {
    const path = new URL(url).pathname;
    const [range, ifRange, token] = ["range", "if-range", "authorization"].map((name) => headers.get(name));
    this.seen.push({ server, method, path, range, ifRange, token });
    return path;
  }

  async #answer(request: Request): Promise<Response> {
    const path = this.#note("hub", request);
    if (request.method === "POST") {
      const fault = this.#fault(path);
      return fault instanceof Response ? fault : await this.#uploads.post(path, request);
    }
    const api = /^\/api\/(model|dataset)s\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(path);
    return api
      ? this.#api(path, api[1], api[2], api[3], decodeURIComponent(api[4]))
      : this.#file(path, request);
  }

  #file(pathname: string, request: Request): Response {
    const [, prefix, name, revision, encoded] =
      /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(pathname) ?? [];
    const found = this.#find(prefix ? "dataset" : "model", name, decodeURIComponent(revision ?? ""));
    if (found instanceof Response) return found;
    const path = decodeURIComponent(encoded);
    const fault = this.#fault(path);
    if (fault instanceof Response) return fault;
    const bytes = bytesOf(found.files[path]);
    if (!bytes) return fail(404, "EntryNotFound");
    const commit = { "x-repo-commit": found.commit ?? COMMIT };
    if (!isLarge(found, path)) return this.#body(bytes, request, `"${gitHash(bytes)}"`, fault, commit);
    if (fault) this.faults[path].unshift(fault);
    const location = `http://127.0.0.1:${this.#cdn.addr.port}/${name}/${path}?signature=secret`;
    const linked = { "x-linked-etag": `"${sha256(bytes)}"`, "x-linked-size": String(bytes.length) };
    return new Response(null, { status: 302, headers: { location, ...commit, ...linked } });
  }

  async #large(request: Request): Promise<Response> {
    const pathname = this.#note("cdn", request);
    if (request.method === "PUT") return await this.#uploads.put(pathname, request);
    const [, name, path] = /^\/([^/]+\/[^/]+)\/(.+)$/.exec(pathname) ?? [];
    const fault = this.#fault(path);
    if (fault instanceof Response) return fault;
    const bytes = bytesOf(this.repositories[name].files[path])!;
    return this.#body(bytes, request, `"cdn-${sha256(bytes).slice(0, 32)}"`, fault);
  }

  #api(pathname: string, type: string, name: string, what: string, revision: string): Response {
    const fault = this.#fault(pathname);
    if (fault instanceof Response) return fault;
    const found = this.#find(type, name, revision);
    if (found instanceof Response) return found;
    if (what === "revision") {
      const about = { private: found.private ?? false, gated: found.gated ? "manual" : false };
      return Response.json({ _id: "1", id: name, modelId: name, sha: found.commit ?? COMMIT, ...about });
    }
    return Response.json(
      Object.entries(found.files).map(([path, content]) => {
        const bytes = bytesOf(content)!, large = isLarge(found, path);
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
    const found = Object.hasOwn(this.repositories, name ?? "") ? this.repositories[name] : undefined;
    if (!found || (found.type ?? "model") !== type) return fail(401, "RepoNotFound");
    if (found.gated) return fail(403, "GatedRepo");
    const revisions = ["main", "v1", "refs/convert/parquet", found.commit ?? COMMIT];
    return revisions.includes(revision) ? found : fail(404, "RevisionNotFound");
  }

  #fault(path: string): Exclude<Fault, { status: number } | { reply: string }> | Response | undefined {
    const fault = this.faults[path]?.shift();
    if (fault && "status" in fault) return new Response("x", fault);
    return fault && "reply" in fault ? new Response(fault.reply, fault) : fault;
  }

  /** A file, or the part that was asked for, with what goes wrong on the way. */
  #body(
    whole: Bytes,
    { headers: asked }: Request,
    tag: string,
    fault: object = {},
    more: Readonly<Record<string, string>> = {},
  ): Response {
    const changed = "changed" in fault || "damaged" in fault;
    let bytes = changed ? whole.map((byte) => byte ^ 1) : whole;
    if ("endsAfter" in fault) bytes = bytes.slice(0, fault.endsAfter as number);
    if ("longer" in fault) bytes = new Uint8Array([...bytes, 0]);
    const etag = "changed" in fault ? '"other"' : tag;
    const range = "ignoreRange" in fault || asked.has("if-range") && asked.get("if-range") !== etag
      ? null
      : /^bytes=(\d+)-$/.exec(asked.get("range") ?? "");
    const start = range ? Number(range[1]) : 0;
    if (range && start >= bytes.length) return new Response(null, { status: 416 });
    const part = bytes.slice(start);
    const headers = {
      ...more,
      etag,
      "content-length": String(part.length),
      ...(range && { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    };
    const status = range ? 206 : 200;
    const [kind, count] = Object.entries(fault).find(([name]) => /^(cut|stall)After$/.test(name)) ?? [];
    if (kind === undefined) return new Response(part, { status, headers });
    let own: ReadableStreamDefaultController | undefined;
    const stream = new ReadableStream<Bytes>({
      start: (controller) => {
        controller.enqueue(part.slice(0, count));
        // The length says that there is more, so the connection is cut here.
        if (kind === "cutAfter") controller.close();
        else this.#stalled.add(own = controller);
      },
      cancel: () => void this.#stalled.delete(own!),
    });
    return new Response(stream, { status, headers });
  }
}

function bytesOf(content: Bytes | string | undefined): Bytes | undefined {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}
