/** How many answers a grader behind an API labels in a second, and what refusals, faults, hangs and a kill do to it. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Generation, type Label, readRows } from "../core/mod.ts";
import { chooseLabeler, labelAll } from "../tasks/_labeler.ts";
import type { Session } from "../tasks/_session.ts";
import type { GraderCount, GraderOptions } from "./grader.ts";

const LATENCY_MS = 50;

const GENERATE = fileURLToPath(new URL("../tasks/generate.ts", import.meta.url));

/** Seconds that one throughput takes if nothing is in the way. */
const SECONDS = 4;

/** Labels in a second. */
export interface Throughput {
  readonly concurrency: number;
  readonly rows: number;
  readonly labelsPerSecond: number;
  /** Of concurrency / latency. */
  readonly share: number;
  /** The same of `fetch` alone, which asks as often and does nothing with the replies. */
  readonly fetchShare: number;
}

/** What became of answers that were labelled under bad conditions. */
export interface Survival extends Omit<GraderCount, "url"> {
  readonly rows: number;
  /** Rows with the right label, and other rows. */
  readonly right: number;
  readonly wrong: number;
  /** Answers graded when the program was killed. */
  readonly gradedAtKill: number;
  readonly seconds: number;
}

/** Labels through an endpoint that takes 50 ms for each. */
export async function benchThroughput(
  session: Session,
  concurrencies: readonly number[],
): Promise<readonly Throughput[]> {
  return await withGrader({ latencyMs: LATENCY_MS, refused: 0, failed: 0, hung: 0 }, async (_, folder) => {
    const results: Throughput[] = [];
    for (const concurrency of [concurrencies[0], ...concurrencies]) {
      const rows = Math.round(SECONDS * 1000 * concurrency / LATENCY_MS),
        name = `${concurrency} ${results.length}`;
      const answers = Array.from({ length: rows }, (_, row) => answerOf(row, name));
      const labeler = await chooseLabeler(session, "fuzzy:judge", { concurrency });
      const started = performance.now();
      const all = {
        answers,
        labeler,
        seed: 137,
        journal: join(folder, name),
        inputs: name,
        title: `${concurrency} at once`,
      };
      const labels = await labelAll(all, (labels) => Promise.resolve(labels));
      const seconds = (performance.now() - started) / 1000;
      if (labels.some((label, row) => label !== verdict(row))) throw new Error("a label is wrong");
      const most = 1000 * concurrency / LATENCY_MS;
      results.push({
        concurrency,
        rows,
        labelsPerSecond: rows / seconds,
        share: rows / seconds / most,
        fetchShare: await fetchesPerSecond(answers, concurrency) / most,
      });
    }
    // The first is there to warm up.
    return results.slice(1);
  });
}

/** Requests about as many answers by `fetch`, so many at once. */
async function fetchesPerSecond(answers: readonly Generation[], concurrency: number): Promise<number> {
  const url = `${Deno.env.get("OPENAI_BASE_URL")}/chat/completions`;
  const headers = { "content-type": "application/json" };
  const left = answers.values(), started = performance.now();
  await Promise.all(Array.from({ length: concurrency }, async () => {
    for (const { context, target, output } of left) {
      const messages = [["system", "Right?"], ["user", `${context} ${target} ${output}`]]
        .map(([role, content]) => ({ role, content }));
      const body = JSON.stringify({ model: "judge", messages });
      await (await fetch(url, { method: "POST", headers, body })).json();
    }
  }));
  return answers.length / ((performance.now() - started) / 1000);
}

/** Labels rows by the command, which is killed in the middle and run again. */
export async function benchSurvival(rows: number): Promise<Survival> {
  const options = { latencyMs: LATENCY_MS, refused: 0.05, failed: 0.02, hung: 0.01 };
  return await withGrader(options, async (count, folder) => {
    const outputs = join(folder, "outputs", "train"), logDir = join(folder, "run");
    await Deno.mkdir(outputs, { recursive: true });
    const lines = Array.from({ length: rows }, (_, row) => {
      const { context, target, output } = answerOf(row, "survival");
      return `${context},${target},"\nAnswer:",,${output},-1`;
    });
    const text = ["context,target,target_prompt,prompt,output,query_label", ...lines, ""].join("\r\n");
    await Deno.writeTextFile(join(outputs, "rows_0.csv"), text);
    const started = performance.now();
    const first = label(folder, logDir);
    let now = await count();
    while (now.graded < rows / 2) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      now = await count();
    }
    first.kill("SIGKILL");
    await first.status;
    const gradedAtKill = (await count()).graded;
    const { code } = await label(folder, logDir).status;
    if (code !== 0) throw new Error(`labelling ended with ${code}`);
    const seconds = (performance.now() - started) / 1000;
    const labeled = await readRows(join(logDir, "labels", "train", "0.csv"), "train");
    const right = labeled.filter(({ label }, row) => label === verdict(row)).length;
    const { url: _, ...seen } = await count();
    return { rows, right, wrong: labeled.length - right, gradedAtKill, seconds, ...seen };
  });
}

function label(folder: string, logDir: string): Deno.ChildProcess {
  const config = Deno.env.get("CREDENCE_CONFIG") ?? "deno.json";
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--config", config, "-A", GENERATE, "labels"],
      `--dataset=offline:${join(folder, "outputs")}`,
      ...[`--log-dir=${logDir}`, "--strategy=fuzzy:judge", "--concurrency=50", "--timeout=2"],
    ],
    stdout: "null",
  }).spawn();
}

/** Answers of which every second one is right. */
function answerOf(row: number, name: string): Generation {
  return {
    id: `${row}`,
    split: "train",
    prompt: "",
    context: `Question ${row} of ${name}?`,
    targetPrompt: "\nAnswer:",
    target: `${row}`,
    output: verdict(row) === 1 ? `${row}` : "none",
  };
}

const verdict = (row: number): Label => row % 2 as 0 | 1;

/** Runs with a grader in the environment, and a folder that is removed. */
async function withGrader<T>(
  options: GraderOptions,
  work: (count: () => Promise<GraderCount>, folder: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir();
  const worker = new Worker(new URL("./grader.ts", import.meta.url), { type: "module" });
  const ask = (message?: GraderOptions) =>
    new Promise<GraderCount>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(message);
    });
  try {
    const { url } = await ask(options);
    Deno.env.set("OPENAI_BASE_URL", url);
    Deno.env.set("XDG_CACHE_HOME", folder);
    return await work(ask, folder);
  } finally {
    worker.terminate();
    await Deno.remove(folder, { recursive: true });
  }
}
