/** The Batch API: requests in a file, answered within a day for half the price. */
import { join } from "node:path";
import { dataError, exists, readJson, writeJsonAtomic } from "../files.ts";
import type { Json } from "../json.ts";
import type { ProgressSink } from "../types.ts";
import type { Endpoint } from "./endpoint.ts";
import { Failure, refusalOf } from "./failure.ts";
import { type ChatReply, readReply } from "./reply.ts";

/** What the price of a reply is multiplied by. */
export const BATCH_DISCOUNT = 0.5;

/** Requests, and bytes of their file, that one batch holds at most. */
const MOST_REQUESTS = 50_000, MOST_BYTES = 150e6;

/** Between the first two looks at a batch, and at most, in milliseconds. */
const LOOK_MS = 1000, LONGEST_LOOK_MS = 60_000;

/** Files take longer than replies. */
const FILE_TIMEOUT_MS = 600_000;

/** A batch that was begun, kept on disk until its replies are. */
interface Record {
  readonly inputFile: string;
  /** Absent if the program was killed before it knew. */
  readonly batch?: string;
  readonly requests: number;
}

/** Where replies go. */
export interface BatchSink {
  /** Whether the reply under a key is there. */
  has(key: string): boolean;
  /** Keeps a reply. */
  keep(key: string, reply: ChatReply): void;
}

/** Asks one endpoint in batches, and goes on with those of a program that was killed. */
export class Batches {
  readonly #endpoint: Endpoint;
  readonly #folder: string;
  readonly #sink: BatchSink;

  /** @param folder where batches under way are recorded; of one endpoint and model */
  constructor(endpoint: Endpoint, folder: string, sink: BatchSink) {
    this.#endpoint = endpoint;
    this.#folder = folder;
    this.#sink = sink;
  }

  /** Takes up the batches that an earlier program began. */
  async resume(progress: ProgressSink): Promise<void> {
    if (!await exists(this.#folder)) return;
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.#folder)) if (name.endsWith(".json")) names.push(name);
    for (const name of names.sort()) {
      const path = join(this.#folder, name), record = await readJson(path) as Record;
      const batch = record.batch ?? await this.#find(record.inputFile);
      if (batch !== undefined) await this.#finish(path, { ...record, batch }, progress);
      else await Deno.remove(path);
    }
  }

  /** Asks, and waits for the replies; some may not come. */
  async ask(bodies: ReadonlyMap<string, Json>, progress: ProgressSink): Promise<void> {
    const records: { path: string; record: Required<Record> }[] = [];
    for (const { text, requests } of files(bodies)) {
      const inputFile = await this.#endpoint.request("a batch", async (openai) => {
        const file = new File([text], "requests.jsonl");
        return textOf(
          await openai.files.create({ file, purpose: "batch" }, { timeout: FILE_TIMEOUT_MS }),
          "id",
        );
      });
      const path = join(this.#folder, `${inputFile.replace(/[^\w-]/g, "_")}.json`);
      // Written before the batch begins, so that it is found again whenever this is killed.
      await writeJsonAtomic(path, { inputFile, requests });
      const batch = await this.#find(inputFile) ?? await this.#begin(inputFile);
      await writeJsonAtomic(path, { inputFile, requests, batch });
      records.push({ path, record: { inputFile, requests, batch } });
    }
    for (const { path, record } of records) await this.#finish(path, record, progress);
  }

  #begin(inputFile: string): Promise<string> {
    return this.#endpoint.request("a batch", async (openai) => {
      // A try whose reply was lost may have begun it.
      const batch = await this.#look(openai, inputFile) ??
        await openai.batches.create({
          input_file_id: inputFile,
          endpoint: "/v1/chat/completions",
          completion_window: "24h",
        });
      return textOf(batch, "id");
    });
  }

  /** The batch of an input file, if it was begun. */
  #find(inputFile: string): Promise<string | undefined> {
    return this.#endpoint.request("its batches", async (openai) => (await this.#look(openai, inputFile))?.id);
  }

  async #look(openai: Parameters<Parameters<Endpoint["request"]>[1]>[0], inputFile: string) {
    const { data } = await openai.batches.list({ limit: 100 });
    return (data ?? []).find(({ input_file_id }) => input_file_id === inputFile);
  }

  /** Waits for the end of a batch, keeps its replies, and then forgets it. */
  async #finish(
    path: string,
    { batch, requests }: Required<Record>,
    progress: ProgressSink,
  ): Promise<void> {
    for (let pause = LOOK_MS;; pause = Math.min(LONGEST_LOOK_MS, 1.5 * pause)) {
      const {
        status,
        request_counts: counts,
        output_file_id: output,
        error_file_id: errors,
        errors: reasons,
      } = await this.#endpoint.request(`batch ${batch}`, async (openai) => {
        const found = await openai.batches.retrieve(batch);
        textOf(found, "status");
        return found;
      });
      progress.update((counts?.completed ?? 0) + (counts?.failed ?? 0), counts?.total || requests, status);
      if (status === "failed") {
        await Deno.remove(path);
        const reason = this.#endpoint.scrub(reasons?.data?.[0]?.message ?? "it gives no reason");
        throw dataError(
          `The endpoint refuses the batch: ${reason}`,
          `${this.#endpoint.settings.baseUrl}, batch ${batch}`,
          "see whether it takes batches for this model, or leave --batch-api out",
        );
      }
      if (["completed", "expired", "cancelled"].includes(status)) {
        for (const file of [output, errors]) if (file) await this.#keep(file);
        return await Deno.remove(path);
      }
      await this.#endpoint.clock.sleep(pause);
    }
  }

  /** Keeps the replies of a file; they are in no order. What failed is left to be asked again. */
  async #keep(file: string): Promise<void> {
    const text = await this.#endpoint.request(
      `file ${file}`,
      async (openai) => await (await openai.files.content(file, { timeout: FILE_TIMEOUT_MS })).text(),
    );
    for (const line of text.split("\n")) {
      const found = replyOf(line, (text) => this.#endpoint.scrub(text));
      if (found && !this.#sink.has(found.key)) this.#sink.keep(found.key, found.reply);
    }
  }
}

/** A text that a reply has to hold. @throws {Failure} if it does not, as what is no endpoint of batches says anything */
function textOf(reply: unknown, name: string): string {
  const text = (reply as { readonly [name: string]: unknown } | null)?.[name];
  if (typeof text === "string" && text !== "") return text;
  throw new Failure(`a reply about batches has no "${name}"`, { passes: true });
}

/** The reply on a line of a batch's output or errors; nothing where there is none. */
function replyOf(
  line: string,
  scrub: (text: string) => string,
): { key: string; reply: ChatReply } | undefined {
  try {
    const { custom_id: key, response } = JSON.parse(line);
    if (typeof key !== "string" || !response) return undefined;
    if (response.status_code === 200) return { key, reply: readReply(response.body, scrub) };
    const { code, message } = response.body?.error ?? {};
    const refusal = response.status_code === 400 ? refusalOf(`${code} ${message}`) : "";
    return refusal === ""
      ? undefined
      : { key, reply: { text: "", finishReason: refusal, promptTokens: 0, completionTokens: 0 } };
  } catch {
    return undefined;
  }
}

/** Requests as the lines of files, each no larger than it may be. */
function* files(bodies: ReadonlyMap<string, Json>): Iterable<{ text: string; requests: number }> {
  let lines: string[] = [], bytes = 0;
  for (const [key, body] of bodies) {
    const line = JSON.stringify({ custom_id: key, method: "POST", url: "/v1/chat/completions", body }) + "\n";
    // No character takes more than three bytes of UTF-8 for each of its units.
    if (lines.length === MOST_REQUESTS || bytes + 3 * line.length > MOST_BYTES) {
      yield { text: lines.join(""), requests: lines.length };
      lines = [];
      bytes = 0;
    }
    lines.push(line);
    bytes += 3 * line.length;
  }
  if (lines.length > 0) yield { text: lines.join(""), requests: lines.length };
}
