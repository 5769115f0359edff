/** `deno task bench`: how fast this machine's adapter runs the kernels and the embedded model, beside peers. */
import { print } from "../tasks/_io.ts";
import { defineFlags, parseFlags } from "../tasks/_flags.ts";
import { table } from "../tasks/_table.ts";
import type { Session } from "../tasks/_session.ts";
import { runTask, type Task } from "../tasks/_task.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { WEIGHT_TYPES } from "../model/weights.ts";
import { type Absent, benchReading, type ReadResult } from "./datasets.ts";
import { benchSurvival, benchThroughput, type Throughput } from "./labels.ts";
import { benchLoad, largeDescription, type LoadResult, writeRandomCheckpoint } from "./load.ts";
import { benchMatmul, type MatmulResult } from "./matmul.ts";
import { benchModel, type ModelResult } from "./model.ts";
import { benchTrainings, type TrainingTime } from "./training.ts";

const FLAGS = defineFlags({
  "rounds": {
    type: "number",
    help: "times each measurement is repeated; the median counts",
    default: 7,
    least: 1,
  },
  "load-bytes": {
    type: "number",
    help: "instead, load a made-up checkpoint of at least so many bytes from a temporary folder",
    least: 1,
  },
  "labels": {
    type: "number",
    help: "instead, label through an endpoint on this machine; then so many rows under bad conditions",
    least: 2,
  },
  "trainings": {
    type: "string",
    help: "instead, train lora-prompt and query-lora in turn on labels, as in offline:<run>/labels",
  },
  "read-rows": {
    type: "number",
    help: "instead, read made-up tables of so many rows, beside Python's libraries",
    least: 1,
  },
});

const task: Task = {
  command: "deno task bench",
  summary: "Speed of kernels and model on this machine's adapter, beside a naive kernel and onnxruntime-web.",
  example: "deno task bench --json",
  flags: FLAGS,
  async run(args, session) {
    const { rounds, "load-bytes": loadBytes, labels, "read-rows": readRows, trainings } =
      parseFlags(this.command, FLAGS, args).values;
    if (trainings !== undefined) {
      const times = await benchTrainings(session, trainings);
      print(trainingTable(times));
      return times;
    }
    if (readRows !== undefined) {
      const results = await benchReading(readRows);
      print(readTable(results));
      return results;
    }
    if (loadBytes !== undefined) return await benchLoading(await session.gpu(), loadBytes);
    if (labels !== undefined) return await benchLabels(session, labels);
    const gpu = await session.gpu();
    const { description, family, exchange, lanes } = gpu.adapter;
    print(
      `adapter: ${description}; ${family} kernels, ${lanes} lanes by ${exchange}; median of ${rounds} rounds\n`,
    );
    const matmul = await benchMatmul(gpu, rounds);
    print(matmulTable(matmul));
    const model = await benchModel(gpu, await session.model("facts"), rounds);
    print(`\n${modelTable(model)}`);
    return { adapter: gpu.adapter, rounds, matmul, model };
  },
};

/** Requests under way at once. */
const CONCURRENCIES = [10, 20, 50, 100];

async function benchLabels(session: Session, rows: number) {
  const throughput = await benchThroughput(session, CONCURRENCIES), survival = await benchSurvival(rows);
  const line = ({ concurrency, labelsPerSecond, share, fetchShare }: Throughput) => [
    String(concurrency),
    labelsPerSecond.toFixed(0),
    `${(100 * share).toFixed(0)} %`,
    `${(100 * fetchShare).toFixed(0)} %`,
  ];
  print(
    table(
      ["requests at once", "labels/s at 50 ms", "of concurrency / latency", "fetch alone"],
      throughput.map(line),
    ),
  );
  const { right, wrong, requests, repeated, gradedAtKill, seconds } = survival;
  print(
    `\n${rows} rows through 5 % 429s, 2 % 500s, 1 % hangs, killed after ${gradedAtKill}: ${right} labelled right, ` +
      `${wrong} not; ${requests} requests, ${repeated} graded twice; ${seconds.toFixed(0)} s`,
  );
  return { throughput, survival };
}

async function benchLoading(gpu: Gpu, bytes: number): Promise<readonly LoadResult[]> {
  const folder = await Deno.makeTempDir();
  try {
    const model = largeDescription(bytes), results: LoadResult[] = [];
    await writeRandomCheckpoint(folder, model);
    for (const dtype of WEIGHT_TYPES) results.push(await benchLoad(gpu, folder, model, dtype));
    print(loadTable(results));
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function trainingTable(times: readonly TrainingTime[]): string {
  return table(
    ["training", "steps", "s in steps", "s in looks at validation rows", "share of the first"],
    times.map(({ method, steps, stepSeconds, lookSeconds, share }) => [
      method,
      String(steps),
      stepSeconds.toFixed(1),
      lookSeconds.toFixed(1),
      share.toFixed(2),
    ]),
  );
}

function loadTable(results: readonly LoadResult[]): string {
  const mega = (bytes: number) => `${Math.round(bytes / 1e6).toLocaleString("en")} MB`;
  return table(
    ["load", "checkpoint", "shards", "largest tensor", "GB/s", "plain read, GB/s", "host memory at most"],
    results.map(({ dtype, bytes, shards, largestTensorBytes, loadGBs, plainReadGBs, peakHostBytes }) => [
      `--dtype=${dtype}`,
      mega(bytes),
      String(shards),
      mega(largestTensorBytes),
      loadGBs.toFixed(2),
      plainReadGBs.toFixed(2),
      mega(peakHostBytes),
    ]),
  );
}

function readTable(results: readonly (ReadResult | Absent)[]): string {
  const mega = (bytes: number) => `${Math.round(bytes / 1e6).toLocaleString("en")} MB`;
  return table(
    ["table", "bytes", "reader", "rows", "rows/s", "memory at most"],
    results.map((result) =>
      "why" in result ? [result.table, "", result.reader, result.why, "", ""] : [
        result.table,
        mega(result.bytes),
        result.reader,
        result.rows.toLocaleString("en"),
        Math.round(result.rowsPerSecond).toLocaleString("en"),
        mega(result.peakBytes),
      ]
    ),
  );
}

function matmulTable(results: readonly MatmulResult[]): string {
  const names = ["f32", "bf16", "naive", "onnxruntime-web"];
  return table(
    ["matmul, GFLOP/s", ...names, "f32 : naive", "f32 : onnxruntime"],
    results.map(({ shape, like, gflops, timesNaive, timesOnnxruntime }) => [
      `${shape} (${like})`,
      ...names.map((name) => gflops[name].toFixed(1)),
      `${timesNaive.toFixed(1)} x`,
      `${timesOnnxruntime.toFixed(1)} x`,
    ]),
  );
}

function modelTable(result: ModelResult): string {
  const { parameters, prefillTokensPerSecond, decode, trainingExamplesPerSecond, trainingTokensPerExample } =
    result;
  const { queryTokens, firstEpoch, laterEpochs } = result.queryLora;
  return table(["embedded model", ""], [
    ["parameters", parameters.toLocaleString("en")],
    ["prefill", `${prefillTokensPerSecond.toFixed(0)} tokens/s`],
    ...decode.flatMap((
      { rows, tokensPerSecond, msPerStep, dispatchesPerToken, submitsPerStep, msOutsideGpu },
    ) => [
      [`decode, ${rows} at once`, `${tokensPerSecond.toFixed(0)} tokens/s`],
      ["  a step", `${msPerStep.toFixed(2)} ms in ${plural(submitsPerStep, "submission")}`],
      ["  outside the GPU", msOutsideGpu === null ? "no timestamps" : `${msOutsideGpu.toFixed(2)} ms a step`],
      ["  kernels", `${dispatchesPerToken.toFixed(1)} dispatches a token`],
    ]),
    ["training", `${trainingExamplesPerSecond.toFixed(1)} examples/s of ${trainingTokensPerExample} tokens`],
    [
      "  query-lora",
      `${laterEpochs.toFixed(2)} of its step time (${
        firstEpoch.toFixed(2)
      } in the first epoch), ${queryTokens} of the tokens`,
    ],
  ]);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

if (import.meta.main) await runTask(task);
