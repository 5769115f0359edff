import { FakeBatches } from "./fake_batches.ts";

/** What a {@linkcode FakeEndpoint} says to one request. */
export type FakeReply =
  /** Content of the model's message. */
  | string
  /** A response as it is: a body that is not a text becomes JSON. */
  | {
    readonly status?: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
  }
  /** Never answers; begins to and stops; sends a byte now and then for ever; breaks the connection within the body. */
  | { readonly never: "answers" | "finishes" | "ends" | "survives" };

/** A request that a {@linkcode FakeEndpoint} has seen. */
export interface SeenRequest {
  /** Below the base URL, as in `/chat/completions`. */
  readonly path: string;
  /** GET or POST. */
  readonly method: string;
  /** The key among them. */
  readonly headers: Headers;
  /** Parsed, where it is JSON. */
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

/**
 * A server on this machine that speaks OpenAI's protocol, for tests: it says what it is told to, and remembers what it
 * was asked. Batches are done when they are looked at for the second time.
 *
 * @example
 * ```ts ignore
 * await using endpoint = FakeEndpoint.start(({ messages }) => messages[1].content.includes("Paris") ? "Yes" : "No");
 * Deno.env.set("OPENAI_BASE_URL", endpoint.url);
 * ```
 */
export class FakeEndpoint implements AsyncDisposable {
  /** Every request so far. */
  readonly seen: SeenRequest[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #stop = new AbortController();
  readonly #timers = new Set<ReturnType<typeof setInterval>>();

  private constructor(
    // deno-lint-ignore no-explicit-any
    reply: (body: any, index: number) => FakeReply | Promise<FakeReply>,
  ) {
    const batches = new FakeBatches(async (body) =>
      batched(await reply(body, this.seen.length), (content) => completion(content, body))
    );
    this.#server = Deno.serve(
      {
        hostname: "127.0.0.1",
        port: 0,
        signal: this.#stop.signal,
        onListen() {},
        onError: () => new Response(null),
      },
      async (request) => {
        const index = this.seen.length;
        const { method, headers } = request, type = headers.get("content-type") ?? "";
        const path = new URL(request.url).pathname.replace(/^\/v1/, "");
        const body = type.includes("json")
          ? await request.json()
          : type.includes("form-data")
          ? await request.formData()
          : await request.text();
        this.seen.push({ path, method, headers, body });
        return await batches.respond(method, path, body) ?? this.#respond(await reply(body, index), body);
      },
    );
  }

  /**
   * Starts one on a free port.
   *
   * @param reply what it says to a request, by its body and its number
   */
  static start(
    // deno-lint-ignore no-explicit-any
    reply: (body: any, index: number) => FakeReply | Promise<FakeReply>,
  ): FakeEndpoint {
    return new FakeEndpoint(reply);
  }

  /** Its base URL, for `OPENAI_BASE_URL`. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/v1`;
  }

  /** Ends it, and every request that it has not answered. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#stop.abort();
    await this.#server.finished;
  }

  #respond(
    reply: FakeReply,
    asked: { messages?: { content: string }[]; model?: string },
  ): Response | Promise<Response> {
    if (typeof reply === "string") return Response.json(completion(reply, asked));
    if ("never" in reply) return this.#misbehave(reply.never);
    const { status = 200, headers = {}, body = "" } = reply;
    return typeof body === "string"
      ? new Response(body, { status, headers: { "content-type": "application/json", ...headers } })
      : Response.json(body, { status, headers });
  }

  #misbehave(how: "answers" | "finishes" | "ends" | "survives"): Response | Promise<Response> {
    if (how === "answers") return new Promise(() => {});
    let timer: ReturnType<typeof setInterval> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode('{"choices": [ '));
        if (how === "ends") {
          timer = setInterval(() => controller.enqueue(new TextEncoder().encode(" ")), 5);
          this.#timers.add(timer);
        }
      },
      pull(controller) {
        if (how === "survives") controller.error(new Error("cut"));
        else return new Promise(() => {});
      },
      cancel: () => clearInterval(timer),
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }
}

/** What a batch has on the line of a reply; nothing where there is no reply. */
function batched(
  reply: FakeReply,
  completion: (content: string) => unknown,
): { readonly status: number; readonly body: unknown } | undefined {
  if (typeof reply === "string") return { status: 200, body: completion(reply) };
  return "never" in reply ? undefined : { status: reply.status ?? 200, body: reply.body };
}

function completion(
  content: string,
  { messages = [], model = "" }: { messages?: { content: string }[]; model?: string },
) {
  const prompt = messages.reduce((sum, { content }) => sum + content.length, 0);
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 0,
    model,
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: Math.ceil(prompt / 4), completion_tokens: Math.ceil(content.length / 4) },
  };
}
