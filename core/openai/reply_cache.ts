import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { exists, fileError, writeAllSync } from "../files.ts";
import { canonical, type Json } from "../json.ts";
import type { ChatReply } from "./reply.ts";

/**
 * Replies on disk, so that nothing is asked twice: not by a rerun of a killed run, and not by another run.
 *
 * One file for each endpoint and model, to which lines are only ever added, each by one write: programs may share it
 * and be killed at any time. A line that was cut off is passed over.
 */
export class ReplyCache implements Disposable {
  /** Where it lies. */
  readonly path: string;
  readonly #replies: Map<string, ChatReply>;
  #file?: Deno.FsFile;

  private constructor(path: string, replies: Map<string, ChatReply>) {
    this.path = path;
    this.#replies = replies;
  }

  /** Opens the cache of one endpoint and model in a folder, which is made when there is something to keep. */
  static async open(folder: string, baseUrl: string, model: string): Promise<ReplyCache> {
    const path = join(folder, `${hashOf([baseUrl, model]).slice(0, 32)}.jsonl`);
    const replies = new Map<string, ChatReply>();
    if (await exists(path)) {
      for (const line of linesOf(await readBytes(path))) {
        const entry = parse(line);
        if (entry) replies.set(...entry);
      }
    }
    return new ReplyCache(path, replies);
  }

  /** The key of a request: everything that matters to its reply. */
  static key(request: Json): string {
    return hashOf(request);
  }

  /** The reply under a key, if there is one. */
  get(key: string): ChatReply | undefined {
    return this.#replies.get(key);
  }

  /** Keeps a reply; it is on disk when this returns. */
  set(key: string, reply: ChatReply): void {
    this.#replies.set(key, reply);
    try {
      if (!this.#file) {
        Deno.mkdirSync(dirname(this.path), { recursive: true });
        this.#file = Deno.openSync(this.path, { append: true, create: true });
      }
      // The line break in front keeps apart what another program may have left unfinished.
      writeAllSync(this.#file, new TextEncoder().encode(`\n${JSON.stringify([key, reply])}\n`));
    } catch (error) {
      throw fileError(error, "write", this.path);
    }
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

function hashOf(value: Json): string {
  return createHash("sha256").update(canonical(value)).digest("hex");
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw fileError(error, "read", path);
  }
}

const LINE_FEED = 10;

/** Bytes, not text: a line may be cut off within a character. */
function* linesOf(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(LINE_FEED, start), end = found < 0 ? bytes.length : found;
    if (end > start) yield bytes.subarray(start, end);
    start = end + 1;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** What a line holds; nothing where it is not whole. */
function parse(line: Uint8Array): [string, ChatReply] | undefined {
  try {
    const [key, reply] = JSON.parse(decoder.decode(line)) as [unknown, Partial<ChatReply> | null];
    return typeof key === "string" && typeof reply?.text === "string" ? [key, reply as ChatReply] : undefined;
  } catch {
    return undefined;
  }
}
