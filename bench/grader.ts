/** A worker with a {@linkcode FakeEndpoint} that grades as it is told to, apart from the program that asks it. */
import { createRng } from "../core/mod.ts";
import { FakeEndpoint, type FakeReply } from "../core/testing/mod.ts";

/** How it answers. */
export interface GraderOptions {
  readonly latencyMs: number;
  /** Shares of requests that get a 429, a 500, and no answer. */
  readonly refused: number;
  readonly failed: number;
  readonly hung: number;
}

/** What it has seen. */
export interface GraderCount {
  readonly url: string;
  readonly requests: number;
  /** Requests that were graded, and those among them that were graded before. */
  readonly graded: number;
  readonly repeated: number;
}

const worker = self as unknown as { onmessage: unknown; postMessage(message: GraderCount): void };

let options: GraderOptions = { latencyMs: 0, refused: 0, failed: 0, hung: 0 };
const rng = createRng(137), graded = new Map<string, number>();
let answers = 0;

async function reply(body: { messages: { content: string }[] }): Promise<FakeReply> {
  const { latencyMs, refused, failed, hung } = options, draw = rng.random();
  await new Promise((resolve) => setTimeout(resolve, latencyMs));
  if (draw < refused) return { status: 429, headers: { "retry-after-ms": "50" }, body: {} };
  if (draw < refused + failed) return { status: 500, body: {} };
  if (draw < refused + failed + hung) return { never: "answers" };
  const { content } = body.messages[1];
  graded.set(content, (graded.get(content) ?? 0) + 1);
  answers++;
  return /submitted the answer: none\n/.test(content) ? "No" : "Yes";
}

const endpoint = FakeEndpoint.start(reply);

worker.onmessage = ({ data }: MessageEvent<GraderOptions | undefined>) => {
  if (data) options = data;
  worker.postMessage({
    url: endpoint.url,
    requests: endpoint.seen.length,
    graded: answers,
    repeated: answers - graded.size,
  });
};
