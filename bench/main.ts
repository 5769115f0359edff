/** `deno task bench`: how fast this machine's adapter runs the kernels and the embedded model, beside peers. */
import { print } from "../tasks/_io.ts";
import { defineFlags, parseFlags } from "../tasks/_flags.ts";
import { table } from "../tasks/_table.ts";
import { runTask, type Task } from "../tasks/_task.ts";
import { benchMatmul, type MatmulResult } from "./matmul.ts";
import { benchModel, type ModelResult } from "./model.ts";

const FLAGS = defineFlags({
  "rounds": {
    type: "number",
    help: "times each measurement is repeated; the median counts",
    default: 7,
    least: 1,
  },
});

const task: Task = {
  command: "deno task bench",
  summary: "Speed of kernels and model on this machine's adapter, beside a naive kernel and onnxruntime-web.",
  example: "deno task bench --json",
  flags: FLAGS,
  async run(args, session) {
    const { rounds } = parseFlags(this.command, FLAGS, args).values;
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
  ]);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

if (import.meta.main) await runTask(task);
