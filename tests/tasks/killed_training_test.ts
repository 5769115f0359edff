import { assert, assertEquals } from "@std/assert";
import { join, relative } from "node:path";
import { createRng, exists, readJson } from "../../core/mod.ts";
import { available, ended, start, succeed, withFolder, writeLabels } from "./_cli.ts";

const STEPS = 20, KILLS = 10;

/** Every source of state at once: dropout, warm-up, accumulation over epochs of four steps, saves and looks out of step. */
const training = (labels: string, logDir: string) => [
  `--dataset=offline:${labels}`,
  "--model-name=facts",
  `--max-steps=${STEPS}`,
  "--batch-size=1",
  "--gradient-accumulation-steps=2",
  "--save-steps=2",
  "--eval-steps=3",
  "--warmup-ratio=0.2",
  "--lr=1e-2",
  `--log-dir=${logDir}`,
];

/** Everything of a run that is not about time, by path: bytes of files as hexadecimal, log lines without their rates. */
async function resultsOf(folder: string): Promise<Record<string, string>> {
  const results: Record<string, string> = {};
  const walk = async (path: string) => {
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      const place = join(path, name);
      if (isDirectory) await walk(place);
      else if (name === "metrics.jsonl") {
        results[name] = (await Deno.readTextFile(place)).replace(/,"\w+_per_second":[^,}]+/g, "");
      } else if (!/^(\.lock|run\.json|events\.out\.tfevents\..*)$/.test(name)) {
        results[relative(folder, place)] = (await Deno.readFile(place)).toHex();
      }
    }
  };
  await walk(folder);
  const { stages } = await readJson(join(folder, "run.json")) as {
    stages: Record<string, { outputs: unknown }>;
  };
  results.outputs = JSON.stringify(stages.train.outputs);
  return results;
}

/** The last step that a run has logged. */
async function stepOf(folder: string): Promise<number> {
  const log = join(folder, "metrics.jsonl");
  if (!await exists(log)) return 0;
  const lines = (await Deno.readTextFile(log)).split("\n");
  return lines.length < 2 ? 0 : JSON.parse(lines.at(-2)!).step;
}

Deno.test({
  name:
    "calibration-tune killed at ten random points leaves the bytes of an undisturbed run, each step logged once",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      const labels = await writeLabels(folder),
        killed = join(folder, "killed"),
        whole = join(folder, "whole");
      await Deno.mkdir(killed);
      const rng = createRng(137);
      // Steps after which to kill, and for how long to wait there: a step takes about 30 ms, a checkpoint 10.
      // Not the last steps, so that a slow machine too looks in time.
      const points = rng.permutation(STEPS - 3).slice(0, KILLS).sort((a, b) => a - b)
        .map((step) => ({ step, ms: rng.integer(40) }));
      let hits = 0;
      for (const { step, ms } of points) {
        const child = start("calibration-tune", training(labels, killed));
        const output = ended(child);
        let over = false;
        output.then(() => over = true);
        while (!over && await stepOf(killed) < step) await new Promise((resolve) => setTimeout(resolve, 3));
        await new Promise((resolve) => setTimeout(resolve, ms));
        if (!over) child.kill("SIGKILL");
        const { code, stderr } = await output;
        assert(code === 137 || code === 0, stderr);
        if (code === 137) hits++;
      }
      assert(hits >= KILLS - 1, `only ${hits} runs were killed before they ended`);
      await succeed("calibration-tune", training(labels, killed));
      await succeed("calibration-tune", training(labels, whole));
      const results = await resultsOf(killed);
      assertEquals(results, await resultsOf(whole));
      assertEquals(
        Object.keys(results).filter((path) => path.endsWith("trainer_state.json")).length,
        STEPS / 2,
      );
      const steps = results["metrics.jsonl"].trim().split("\n").map((line) => JSON.parse(line))
        .filter((values) => "loss" in values).map(({ step }) => step);
      assertEquals(steps, Array.from({ length: STEPS }, (_, index) => index + 1));
    }),
});
