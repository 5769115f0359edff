/** Seconds for the intervals of every built-in metric, as an evaluation of MMLU computes them. */
import { cpuUsage } from "node:process";
import { createRng, estimate, type Metric, RESAMPLES, type Scored } from "../core/mod.ts";
import { builtins } from "../plugins/mod.ts";
import { defineFlags, parseFlags } from "../tasks/_flags.ts";
import { print } from "../tasks/_io.ts";
import { runTask, type Task } from "../tasks/_task.ts";

/** Flags of the benchmark; the rows are those of MMLU's test split. */
const FLAGS = defineFlags({
  "rows": { type: "number", help: "answers", default: 14_042, least: 1 },
  "resamples": { type: "number", help: "resamples of them", default: RESAMPLES, least: 0 },
  "each": { type: "boolean", help: "every metric by itself too" },
});

/** Made-up answers, no two with the same confidence. */
function answers(count: number): Scored[] {
  const rng = createRng(137);
  return Array.from({ length: count }, () => {
    const pCorrect = rng.random();
    return { label: rng.random() < 0.2 + 0.6 * pCorrect ? 1 : 0, pCorrect };
  });
}

/** Seconds by the clock, and those for which this process computed: the same, but on a machine that has other work. */
function timed(rows: readonly Scored[], metrics: readonly Metric[], resamples: number) {
  const start = performance.now(), before = cpuUsage();
  estimate(rows, metrics, createRng(1), resamples);
  const { user, system } = cpuUsage(before);
  return { seconds: (performance.now() - start) / 1000, computing: (user + system) / 1e6 };
}

const task: Task = {
  command: "deno run bench/bootstrap.ts",
  summary: "Seconds for the intervals of every built-in metric.",
  example: "deno run bench/bootstrap.ts --each",
  flags: FLAGS,
  run(args) {
    const { values } = parseFlags(this.command, FLAGS, args);
    const rows = answers(values.rows), metrics = builtins.filter((plugin) => plugin.kind === "metric");
    const measure = (name: string, chosen: readonly Metric[]) => {
      const taken = timed(rows, chosen, values.resamples);
      print(
        `${taken.seconds.toFixed(2).padStart(6)} s, ${
          taken.computing.toFixed(2)
        } s of them computing: ${name}`,
      );
      return taken;
    };
    if (values.each) { for (const metric of metrics) measure(metric.name, [metric]); }
    const title = `${metrics.length} metrics, ${values.rows} rows, ${values.resamples} resamples`;
    return Promise.resolve(measure(title, metrics));
  },
};

if (import.meta.main) await runTask(task);
