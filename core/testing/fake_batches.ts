/** The files and batches of a fake endpoint. */

/** A batch as the protocol shows it. */
interface Batch {
  readonly id: string;
  readonly input_file_id: string;
  status: string;
  output_file_id?: string;
  error_file_id?: string;
  request_counts: { total: number; completed: number; failed: number };
  looks: number;
}

/** Keeps files and answers batches: one that is looked at for the second time is done. */
export class FakeBatches {
  readonly #files = new Map<string, string>();
  readonly #batches: Batch[] = [];
  // deno-lint-ignore no-explicit-any
  readonly #complete: (body: any) => Promise<{ readonly status: number; readonly body: unknown } | undefined>;

  constructor(
    // deno-lint-ignore no-explicit-any
    complete: (body: any) => Promise<{ readonly status: number; readonly body: unknown } | undefined>,
  ) {
    this.#complete = complete;
  }

  /** The response to a request that is about files or batches; nothing for any other. */
  async respond(method: string, path: string, body: unknown): Promise<Response | undefined> {
    const [, kind, id, part] = path.split("/");
    if (kind === "files" && method === "POST") {
      const file = `file-${this.#files.size + 1}`;
      this.#files.set(file, await ((body as FormData).get("file") as File).text());
      return Response.json({ id: file, object: "file" });
    }
    if (kind === "files" && part === "content") return new Response(this.#files.get(id) ?? "");
    if (kind !== "batches") return undefined;
    if (method === "POST") {
      const { input_file_id } = body as { input_file_id: string };
      const total = lines(this.#files.get(input_file_id)!).length;
      const counts = { total, completed: 0, failed: 0 };
      const batch = {
        id: `batch-${this.#batches.length + 1}`,
        input_file_id,
        status: "validating",
        request_counts: counts,
        looks: 0,
      };
      this.#batches.push(batch);
      return Response.json(batch);
    }
    if (id === undefined) return Response.json({ object: "list", data: this.#batches, has_more: false });
    const batch = this.#batches.find((batch) => batch.id === id);
    if (!batch) return Response.json({ error: { message: "no such batch" } }, { status: 404 });
    if (++batch.looks === 2) await this.#finish(batch);
    return Response.json(batch);
  }

  async #finish(batch: Batch): Promise<void> {
    const output: string[] = [], errors: string[] = [];
    for (const line of lines(this.#files.get(batch.input_file_id)!)) {
      const { custom_id, body } = JSON.parse(line);
      const response = await this.#complete(body);
      if (!response) continue;
      const { status, body: reply } = response;
      (status === 200 ? output : errors).push(
        JSON.stringify({ custom_id, response: { status_code: status, body: reply }, error: null }),
      );
    }
    // Replies come in no order.
    for (const [name, found] of [["output_file_id", output.reverse()], ["error_file_id", errors]] as const) {
      if (found.length === 0) continue;
      batch[name] = `file-${this.#files.size + 1}`;
      this.#files.set(batch[name], found.join("\n") + "\n");
    }
    batch.status = output.length + errors.length < batch.request_counts.total ? "expired" : "completed";
    batch.request_counts = { ...batch.request_counts, completed: output.length, failed: errors.length };
  }
}

const lines = (text: string) => text.split("\n").filter((line) => line !== "");
