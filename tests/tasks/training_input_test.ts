import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { exists } from "../../core/mod.ts";
import { available, NO_DRIVER, ROOT, run, succeed, withFolder, writeLabels } from "./_cli.ts";

const ACME = join(ROOT, "tests", "third_party", "acme", "mod.ts");

/** Declares a test that needs an adapter. */
function gpuTest(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test({ name, ignore: !available, fn: () => withFolder(fn) });
}

/** Arguments of a training of two steps into `<folder>/run`. */
const tuning = (folder: string, labels: string) => [
  `--dataset=offline:${labels}`,
  "--model-name=facts",
  "--max-steps=2",
  `--log-dir=${join(folder, "run")}`,
];

const HEADER = "context,target,target_prompt,prompt,output,query_label";

/** Labels of which one split holds other lines. */
async function withSplit(folder: string, split: string, lines: readonly string[], rows = 8): Promise<string> {
  const labels = await writeLabels(folder, rows);
  await Deno.writeTextFile(join(labels, split, "0.csv"), [HEADER, ...lines, ""].join("\r\n"));
  return labels;
}

/** Runs what has to be refused before a step is taken, and gives back what it said. */
async function refused(args: readonly string[], code: number): Promise<string> {
  const result = await run("calibration-tune", args);
  assertEquals(result.code, code, result.stderr);
  assertEquals(result.stderr.includes("\n    at "), false, result.stderr);
  assertMatch(result.stderr, /\n {2}where: .+\n {2}fix: {3}.+/);
  return result.stderr;
}

const steps = async (log: string) =>
  (await Deno.readTextFile(log)).trim().split("\n").map((line) => JSON.parse(line))
    .filter((values) => "loss" in values).map(({ step }) => step);

// Starting anew.

gpuTest(
  "--no-resume starts anew and moves the earlier training aside, whole, as a run of its own",
  async (folder) => {
    const args = tuning(folder, await writeLabels(folder)), place = join(folder, "run");
    await succeed("calibration-tune", args);
    const { stdout, stderr } = await succeed("calibration-tune", [...args, "--lr=1e-3", "--no-resume"]);
    assertMatch(stdout, /run\/checkpoint-2\n$/);
    assertMatch(
      stderr,
      /--no-resume: the earlier training, 5 files and folders, is in .*run\/earlier-1 now\./,
    );
    assertEquals(await steps(join(place, "metrics.jsonl")), [1, 2]);
    assertEquals(await steps(join(place, "earlier-1", "metrics.jsonl")), [1, 2]);
    const lrOf = async (path: string) =>
      JSON.parse(await Deno.readTextFile(join(path, "run.json"))).stages.train.inputs.options.lr;
    assertEquals([await lrOf(place), await lrOf(join(place, "earlier-1"))], [1e-3, 1e-4]);
    // What was moved can be moved back, or gone on with where it is: it is a run like any other.
    const { stderr: second } = await succeed("calibration-tune", [
      ...args,
      `--log-dir=${join(place, "earlier-1")}`,
    ]);
    assertStringIncludes(second, "train: inputs unchanged, skipped");
  },
);

gpuTest("--no-resume keeps the adapter that it is to start from", async (folder) => {
  const labels = await writeLabels(folder), args = tuning(folder, labels);
  await succeed("calibration-tune", args);
  const start = `--peft-dir=${join(folder, "run", "checkpoint-2")}`;
  const stderr = await refused([...args, start, "--no-resume"], 2);
  assertStringIncludes(stderr, "--no-resume would move the adapter");
  assert(await exists(join(folder, "run", "checkpoint-2", "adapter_model.safetensors")));
});

// Starting from an adapter.

gpuTest(
  "--peft-dir starts from an adapter and says which options count; run.json knows it by its files",
  async (folder) => {
    const labels = await writeLabels(folder), [data, model, steps] = tuning(folder, labels);
    const into = (name: string) => [data, model, steps, `--log-dir=${join(folder, name)}`];
    await succeed("calibration-tune", [...into("first"), "--lora-rank=4", "--target-modules=q_proj"]);
    await succeed("calibration-tune", into("other"));
    const first = join(folder, "first", "checkpoint-2"), other = join(folder, "other", "checkpoint-2");
    const args = [...into("second"), `--peft-dir=${first}`, `--ref-peft-dir=${other}`];
    const { stderr } = await succeed("calibration-tune", args);
    assertStringIncludes(
      stderr,
      `The options of the adapter ${first} count: --lora-rank is 4, not 8; ` +
        "--target-modules is q_proj, not q_proj,v_proj.",
    );
    const config = JSON.parse(
      await Deno.readTextFile(join(folder, "second", "checkpoint-2", "adapter_config.json")),
    );
    assertEquals([config.r, config.target_modules], [4, ["q_proj"]]);
    // The same files elsewhere are the same adapter; others are not.
    await Deno.rename(join(folder, "first"), join(folder, "moved"));
    const moved = [...into("second"), `--peft-dir=${join(folder, "moved", "checkpoint-2")}`];
    const again = await succeed("calibration-tune", [...moved, `--ref-peft-dir=${other}`]);
    assertStringIncludes(again.stderr, "train: inputs unchanged, skipped");
    assertStringIncludes(await refused(moved, 2), "--ref-peft-dir was ");
  },
);

Deno.test("--peft-dir refuses a folder that is not there, before anything is loaded", () =>
  withFolder(async (folder) => {
    const args = [...tuning(folder, await writeLabels(folder)), `--peft-dir=${join(folder, "nowhere")}`];
    assertStringIncludes(await refused(args, 4), "There is no checkpoint ");
  }));

// Rows that cannot be learnt from, or just so.

gpuTest("training rows of one class are refused", async (folder) => {
  const lines = Array.from({ length: 8 }, (_, row) => `question ${row}?,${row},"\nAnswer:",,${row},1`);
  const args = tuning(folder, await withSplit(folder, "train", lines));
  assertStringIncludes(await refused(args, 4), "All training rows are labelled 1");
  assertEquals(await exists(join(folder, "run", "checkpoint-1")), false);
});

gpuTest("ten rows are enough to train on, also where a step reads more", async (folder) => {
  const args = [...tuning(folder, await writeLabels(folder, 10)), "--batch-size=16"];
  await succeed("calibration-tune", args);
  assertEquals(await steps(join(folder, "run", "metrics.jsonl")), [1, 2]);
});

for (const [what, empty] of [["is missing", false], ["holds no row", true]] as const) {
  gpuTest(
    `a validation split that ${what} is no hindrance to training, but to --scale-temp`,
    async (folder) => {
      const labels = await withSplit(folder, "validation", []);
      if (!empty) await Deno.remove(join(labels, "validation"), { recursive: true });
      const args = tuning(folder, labels);
      const stderr = await refused([...args, "--scale-temp"], 4);
      assertStringIncludes(stderr, "There is no labelled validation row to fit a calibrator on");
      assertEquals(await exists(join(folder, "run", "checkpoint-1")), false, "it trained in vain");
      const trained = await succeed("calibration-tune", args);
      assertStringIncludes(trained.stderr, "There is no labelled validation row: ");
      assertEquals(await steps(join(folder, "run", "metrics.jsonl")), [1, 2]);
      assertStringIncludes(
        await refused([...args, "--scale-temp"], 4),
        "There is no labelled validation row",
      );
    },
  );
}

gpuTest("target modules that match nothing are refused: there would be nothing to train", async (folder) => {
  const args = [...tuning(folder, await writeLabels(folder)), "--target-modules=c_attn"];
  const stderr = await refused(args, 4);
  assertStringIncludes(stderr, 'No linear layer is called "c_attn"');
  assertStringIncludes(stderr, "q_proj");
});

Deno.test("options that cannot work are refused before a driver or a model is needed, and leave nothing behind", () =>
  withFolder(async (folder) => {
    const args = tuning(folder, await writeLabels(folder));
    for (
      const [flag, what] of [
        ["--kl-type=js", 'Option "klType" is "js"'],
        ["--save-steps=1.5", 'Option "saveSteps" is 1.5'],
        ["--gradient-accumulation-steps=0", 'Option "gradientAccumulationSteps" is 0'],
        ["--lr=0", 'Option "lr" is 0'],
      ]
    ) {
      const { code, stderr } = await run("calibration-tune", [...args, flag], NO_DRIVER);
      assertEquals(code, 2, stderr);
      assertStringIncludes(stderr, what);
    }
    assertEquals((await Array.fromAsync(Deno.readDir(join(folder, "run")))).map(({ name }) => name), [
      ".lock",
    ]);
  }));

// What lies in the run folder already.

gpuTest("a training that was refused before its first step can be given other flags", async (folder) => {
  const args = tuning(folder, await writeLabels(folder));
  await refused([...args, "--target-modules=c_attn"], 4);
  await refused([...args, "--max-token-length=5"], 4);
  await succeed("calibration-tune", args);
});

gpuTest(
  "a loss that is no number ends the training with the step, its rows, and how to start anew",
  async (folder) => {
    const args = tuning(folder, await writeLabels(folder));
    const stderr = await refused([...args, "--lr=1e30"], 4);
    assertMatch(stderr, /The loss of step 2 is NaN\n {2}where: training rows (\w{16}, ){3}\w{16}\n/);
    assertMatch(stderr, /use a lower --lr; the last good checkpoint is .*checkpoint-1/);
    assertStringIncludes(await refused(args, 2), "--lr was 1e+30, is 0.0001");
    assertStringIncludes(await refused(args, 2), "; --no-resume starts anew");
    await succeed("calibration-tune", [...args, "--no-resume"]);
  },
);

gpuTest(
  "an unfinished training of another model, method or option is refused, naming the flags",
  async (folder) => {
    const labels = await writeLabels(folder), args = tuning(folder, labels), place = join(folder, "run");
    await succeed("calibration-tune", args);
    // As after a kill: the checkpoints are there, run.json says nothing of them.
    await Deno.remove(join(place, "run.json"));
    await Deno.symlink(join(ROOT, "assets", "facts", "model"), join(folder, "model"));
    const before = await Deno.readFile(join(place, "checkpoint-2", "adapter_model.safetensors"));
    for (
      const [flags, difference] of [
        [[`--model-name=${join(folder, "model")}`], '--model-name was "facts", is "'],
        [["--lora-rank=4", "--seed=1"], "--lora-rank was 8, is 4; --seed was 137, is 1"],
        [["--target-modules=q_proj"], '--target-modules was ["q_proj","v_proj"], is ["q_proj"]'],
        [["--max-steps=3"], "--max-steps was 2, is 3"],
        [
          [`--plugin=${ACME}`, "--method=acme/first-word"],
          '--method was "lora-prompt", is "acme/first-word"',
        ],
      ] as const
    ) {
      assertStringIncludes(await refused([...args, ...flags], 2), difference);
    }
    assertEquals(await Deno.readFile(join(place, "checkpoint-2", "adapter_model.safetensors")), before);
  },
);

gpuTest(
  "a checkpoint of another training that was copied into the run is not gone on from",
  async (folder) => {
    const labels = await writeLabels(folder), args = tuning(folder, labels);
    await succeed("calibration-tune", [...args, "--lr=1e-3", `--log-dir=${join(folder, "other")}`]);
    await succeed("calibration-tune", args);
    await Deno.remove(join(folder, "run", "run.json"));
    await Deno.remove(join(folder, "run", "checkpoint-2"), { recursive: true });
    await Deno.rename(join(folder, "other", "checkpoint-2"), join(folder, "run", "checkpoint-2"));
    const stderr = await refused(args, 4);
    assertStringIncludes(stderr, "The checkpoint is of another training: options.lr was 0.001, is 0.0001");
  },
);
