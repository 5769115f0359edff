import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { exists } from "../../core/mod.ts";
import { available, run, succeed, withFolder, writeLabels } from "./_cli.ts";

/** Declares a test that needs an adapter. */
function gpuTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !available, fn });
}

/** Flags of a short training in a folder, on eight rows of each split. */
async function tune(folder: string, logDir: string, ...more: readonly string[]): Promise<string[]> {
  const labels = join(folder, "by-hand");
  if (!await exists(labels)) await writeLabels(folder);
  return [
    `--dataset=offline:${labels}`,
    "--model-name=facts",
    `--log-dir=${join(folder, logDir)}`,
    `--cache-dir=${join(folder, "cache")}`,
    "--max-steps=10",
    "--lr=1e-2",
    ...more,
  ];
}

const evaluated = (folder: string, method: string, checkpoint: string, ...more: readonly string[]) => [
  `--dataset=offline:${join(folder, "by-hand")}`,
  "--prompt-style=oe",
  "--model-name=facts",
  `--method=${method}`,
  `--query-peft-dir=${join(folder, checkpoint)}`,
  `--log-dir=${join(folder, "evaluation")}`,
  `--cache-dir=${join(folder, "cache")}`,
  ...more,
];

gpuTest(
  "classifier-tune computes hidden states once: a second training does not load the model, and says so",
  () =>
    withFolder(async (folder) => {
      const first = await succeed("classifier-tune", await tune(folder, "one", "--scale-temp"));
      assertStringIncludes(first.stderr, "load facts");
      // The temperature is fitted on rows that training has read.
      assertStringIncludes(first.stderr, "Features of 8 of 8 rows were there: the model is not asked.");
      assertMatch(first.stdout, /^classifier in .*checkpoint-10, temperature \d/);

      const second = await succeed("classifier-tune", await tune(folder, "two", "--scale-temp", "--json"));
      assertStringIncludes(second.stderr, "Features of 16 of 16 rows were there: the model is not asked.");
      assert(!second.stderr.includes("load facts"), second.stderr);
      const { checkpoint } = JSON.parse(second.stdout.trimEnd().split("\n").at(-1)!);
      assertEquals(checkpoint, join(folder, "two", "checkpoint-10"));
      for (
        const name of [
          "classifier_model.safetensors",
          "classifier_config.json",
          "temperature_model.safetensors",
        ]
      ) {
        assertEquals(
          await Deno.readFile(join(checkpoint, name)),
          await Deno.readFile(join(folder, "one", "checkpoint-10", name)),
        );
      }

      // Evaluation reads the test split, which nobody has read yet, and then finds it too.
      for (
        const [scale, said] of [[[], "load facts"], [
          ["--scale-temp=query"],
          "the model is not asked",
        ]] as const
      ) {
        const args = evaluated(
          folder,
          "probe",
          "one/checkpoint-10",
          ...scale,
          `--log-dir=${join(folder, said)}`,
        );
        const { stdout, stderr } = await succeed("evaluate", args);
        assertStringIncludes(stdout, "auroc");
        assertStringIncludes(stderr, said);
      }
    }),
);

gpuTest(
  "classifier-tune --with-lora trains an adapter too, and evaluate reads both",
  () =>
    withFolder(async (folder) => {
      await succeed(
        "classifier-tune",
        await tune(folder, "lora", "--with-lora", "--scale-temp", "--head=linear"),
      );
      const names = (await Array.fromAsync(Deno.readDir(join(folder, "lora", "checkpoint-10")))).map((
        { name },
      ) => name);
      assertEquals(names.sort(), [
        "adapter_config.json",
        "adapter_model.safetensors",
        "classifier_config.json",
        "classifier_model.safetensors",
        "optimizer.json",
        "optimizer.safetensors",
        "temperature_model.safetensors",
        "trainer_state.json",
      ]);
      const predictions: string[] = [];
      for (const method of ["lora-probe", "probe"]) {
        const place = join(folder, method);
        await succeed(
          "evaluate",
          evaluated(folder, method, "lora/checkpoint-10", "--scale-temp=query", `--log-dir=${place}`),
        );
        const [dataset] = (await Array.fromAsync(Deno.readDir(join(place, "metrics")))).map(({ name }) =>
          name
        );
        predictions.push(await Deno.readTextFile(join(place, "metrics", dataset, "test", "predictions.csv")));
      }
      assertEquals(predictions[0], predictions[1]);
    }),
);

gpuTest(
  "classifier-tune with several layers and the mean of the answer chooses a layer",
  () =>
    withFolder(async (folder) => {
      const args = await tune(
        folder,
        "run",
        "--layers=0,3,-1",
        "--layer-choice=best",
        "--position=answer-mean",
      );
      await succeed("classifier-tune", args);
      const config = JSON.parse(
        await Deno.readTextFile(join(folder, "run", "checkpoint-10", "classifier_config.json")),
      );
      assertEquals([config.base_model_name_or_path, config.position, config.layers.length], [
        "facts",
        "answer-mean",
        1,
      ]);
      // The same command again has nothing to do.
      assertStringIncludes(
        (await succeed("classifier-tune", args)).stderr,
        "train: inputs unchanged, skipped",
      );
    }),
);

gpuTest(
  "classifier-tune refuses layers that the model does not have, and evaluate checkpoints of another kind",
  () =>
    withFolder(async (folder) => {
      const layer = await run("classifier-tune", await tune(folder, "a", "--layers=9"));
      assertEquals(layer.code, 2);
      assertStringIncludes(layer.stderr, "The model has no layer 9");
      assertStringIncludes(layer.stderr, "from 0, the embedding, to 6");

      await succeed("calibration-tune", await tune(folder, "prompt", "--kl-decay=0"));
      const other = await run("evaluate", evaluated(folder, "probe", "prompt/checkpoint-10"));
      assertEquals(other.code, 4);
      assertStringIncludes(other.stderr, "There is no classifier_model.safetensors");

      const untrained = await run(
        "evaluate",
        evaluated(folder, "probe", "").filter((flag) => !flag.startsWith("--query-peft-dir")),
      );
      assertEquals(untrained.code, 2);
      assertStringIncludes(untrained.stderr, 'Method "probe" has no classifier before it is trained');
    }),
);

gpuTest("classifier-tune names a cache folder that it cannot write to", () =>
  withFolder(async (folder) => {
    const file = join(folder, "file");
    await Deno.writeTextFile(file, "");
    const { code, stderr } = await run("classifier-tune", [
      ...await tune(folder, "a"),
      `--cache-dir=${file}`,
    ]);
    assertEquals(code, 4);
    assertMatch(stderr, /where: .*file[^]*--cache-dir/);
  }));

Deno.test("classifier-tune refuses --method, and a flag of the other method", async () => {
  const known = ["--dataset=facts", "--model-name=facts"];
  for (const flag of ["--method=probe", "--lora-rank=4"]) {
    const { code, stderr } = await run("classifier-tune", [...known, flag]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, `Unknown flag "${flag.split("=")[0]}"`);
  }
});
