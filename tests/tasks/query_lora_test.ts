import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { available, run, succeed, withFolder, writeLabels } from "./_cli.ts";

/** Declares a test that needs an adapter. */
function gpuTest(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test({ name, ignore: !available, fn: () => withFolder(fn) });
}

const readJson = async (path: string) => JSON.parse(await Deno.readTextFile(path));

gpuTest(
  "calibration-tune --method=query-lora trains what evaluate counts as one pass over the question",
  async (folder) => {
    const labels = await writeLabels(folder), checkpoint = join(folder, "run", "checkpoint-3");
    const common = [`--dataset=offline:${labels}`, "--model-name=facts"];
    const tuning = ["--method=query-lora", "--max-steps=3", "--lr=1e-2", ...common];
    await succeed("calibration-tune", [...tuning, "--scale-temp", `--log-dir=${join(folder, "run")}`]);
    const { alora_invocation_tokens: tokens } = await readJson(join(checkpoint, "adapter_config.json"));
    await succeed("evaluate", [
      ...common,
      "--method=query-lora",
      "--prompt-style=oe",
      `--query-peft-dir=${checkpoint}`,
      "--scale-temp=query",
      `--log-dir=${join(folder, "run")}`,
    ]);
    const metrics = join(folder, "run", "metrics");
    const [dataset] = await Array.fromAsync(Deno.readDir(metrics));
    const { tokensPerQuestion } = await readJson(join(metrics, dataset.name, "test", "metrics.json"));
    const { read, written, kept } = tokensPerQuestion;
    assertEquals([read - kept, written], [tokens.length, 0]);

    // An adapter that acts on other tokens is nothing to start from.
    const other = [
      ...common,
      "--max-steps=1",
      `--peft-dir=${checkpoint}`,
      `--log-dir=${join(folder, "other")}`,
    ];
    const refused = await run("calibration-tune", other);
    assertEquals(refused.code, 4, refused.stderr);
    assertStringIncludes(refused.stderr, "on, but this method trains one that acts on all tokens");
  },
);

gpuTest("calibration-tune --method=query-lora has no flags of a divergence, as there is none", async () => {
  const { code, stderr } = await run("calibration-tune", ["--method=query-lora", "--kl-decay=1"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "--kl-decay");
});
