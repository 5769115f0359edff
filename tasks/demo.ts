/** `deno task demo`: the whole job on the embedded model and questions. */
import { join, resolve } from "node:path";
import { type Estimate, RunFolder, type Summary, type Undefined } from "../core/mod.ts";
import { announceSkip } from "./_common.ts";
import { note, print } from "./_io.ts";
import { calibrationTune, TUNE_FLAGS } from "./calibration_tune.ts";
import { EVALUATE_FLAGS } from "./_evaluation.ts";
import { evaluate } from "./evaluate.ts";
import { defaultsOf, defineFlags, parseFlags, type Values } from "./_flags.ts";
import { generateLabels, generateOutputs, LABEL_FLAGS, OUTPUT_FLAGS } from "./generate.ts";
import { report, REPORT_FLAGS } from "./report.ts";
import type { Session } from "./_session.ts";
import { beforeAfterTable } from "./_metrics_table.ts";
import { runTask, type Task } from "./_task.ts";

/** The adapter's training on the embedded model: a small model takes a higher learning rate than the paper's. */
const RECIPE = { steps: 300, batchSize: 16, lr: 2e-3 };

/** Flags of the task. */
export const DEMO_FLAGS = defineFlags({
  "log-dir": { type: "string", help: "folder of the run (runs/demo-<style>)" },
  "prompt-style": { type: "string", help: "how questions are worded: oe or choice", default: "oe" },
  "seed": { type: "number", help: "the same seed gives the same results", default: 137, least: 0 },
});

/** Calibration of one evaluation. */
interface Calibration {
  readonly ece: number | null;
  readonly auroc: number | null;
  readonly brier: number | null;
  readonly n: number;
}

/** Result of the task. */
export interface DemoResult {
  readonly accuracy: number | null;
  readonly before: Calibration;
  readonly after: Calibration;
  readonly seconds: number;
  readonly adapter: string;
  readonly report: string;
}

/** Answers, labels, evaluates, trains, scales, evaluates again and reports; skips what is there already. */
export async function demo(session: Session, flags: Values<typeof DEMO_FLAGS>): Promise<DemoResult> {
  const started = performance.now();
  const { "prompt-style": style, seed } = flags;
  const logDir = flags["log-dir"] ?? join("runs", `demo-${style}`);
  const model = { "model-name": "facts", "prompt-style": style, seed, "log-dir": logDir };
  using run = await RunFolder.open(logDir);

  note("1. The model answers the questions.");
  await generateOutputs(session, { ...defaultsOf(OUTPUT_FLAGS), ...model, dataset: "facts" }, run, "redo");
  note("2. Each answer is labelled right or wrong.");
  const outputs = `offline:${join(logDir, "outputs")}`, labels = `offline:${join(logDir, "labels")}`;
  await generateLabels(session, { ...defaultsOf(LABEL_FLAGS), ...model, dataset: outputs }, run, "redo");
  note("3. The untuned model is asked how sure it is.");
  const evaluation = { ...defaultsOf(EVALUATE_FLAGS), ...model, dataset: labels };
  const before = await evaluateInto(session, join(logDir, "before"), evaluation);
  note("4. An adapter is trained to know; 5. and its temperature scaled.");
  const tuned = await calibrationTune(
    session,
    {
      ...defaultsOf(TUNE_FLAGS),
      ...model,
      "dataset": labels,
      "max-steps": RECIPE.steps,
      "batch-size": RECIPE.batchSize,
      "scale-temp": true,
    },
    { lr: RECIPE.lr },
    run,
    "redo",
  );
  note("6. The tuned model is asked how sure it is.");
  const after = await evaluateInto(session, join(logDir, "after"), {
    ...evaluation,
    "query-peft-dir": tuned.checkpoint,
    "scale-temp": "query",
  });
  note("7. Both are reported.");
  const path = await reportStage(session, run, style, [before.inputs, after.inputs]);
  print(beforeAfterTable(before.summary, after.summary));
  print(`report: ${path}`);
  return {
    accuracy: valueOf(after.summary.metrics.accuracy),
    before: calibration(before.summary),
    after: calibration(after.summary),
    seconds: Math.round((performance.now() - started) / 100) / 10,
    adapter: tuned.checkpoint,
    report: path,
  };
}

async function evaluateInto(session: Session, logDir: string, flags: Values<typeof EVALUATE_FLAGS>) {
  using run = await RunFolder.open(logDir);
  const { evaluations: [evaluation] } = await evaluate(session, { ...flags, "log-dir": logDir }, run, "redo");
  const inputs = Object.values(run.record(`metrics/${evaluation.dataset}/${evaluation.split}`)!.outputs).join(
    " ",
  );
  return { summary: evaluation as Summary, inputs };
}

async function reportStage(session: Session, run: RunFolder, style: string, inputs: readonly string[]) {
  const output = run.file("report.html");
  const outcome = await run.stage("report", {
    inputs: { evaluations: inputs },
    whenChanged: "redo",
    work: async () => {
      await report(session, {
        ...defaultsOf(REPORT_FLAGS),
        "log-dir": [run.file("before"), run.file("after")],
        output,
        "title": `Does the model know what it knows? facts, ${style}`,
      });
      return [output];
    },
  });
  if (outcome.skipped) announceSkip("report");
  return resolve(output);
}

function calibration({ n, metrics }: Summary): Calibration {
  return { ece: valueOf(metrics.ece), auroc: valueOf(metrics.auroc), brier: valueOf(metrics.brier), n };
}

function valueOf(estimate: Estimate | Undefined): number | null {
  return "value" in estimate ? estimate.value : null;
}

const task: Task = {
  command: "deno task demo",
  summary:
    "The whole job on the embedded model and questions: answer, label, train, calibrate, evaluate, report.",
  example: "deno task demo",
  flags: DEMO_FLAGS,
  async run(args, session) {
    return await demo(session, parseFlags(this.command, DEMO_FLAGS, args).values);
  },
};

if (import.meta.main) await runTask(task);
