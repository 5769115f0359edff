import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { CALIBRATORS, createRng, exists, type Method, readPredictions, UserError } from "@credence/credence";
import { FakeModel } from "@credence/credence/testing";
import { calibratedOptions, fitOn, writeMethod } from "../../tasks/_calibrate.ts";
import { labeled } from "../core/_samples.ts";
import { available, run, succeed, withFolder, writeLabels } from "./_cli.ts";

const gpuTest = (name: string, fn: () => Promise<void>) => Deno.test({ name, ignore: !available, fn });

for (const kind of CALIBRATORS) {
  Deno.test(`fitOn() refuses to fit ${kind} to logits that are no numbers, naming the row`, async () => {
    const diverged: Method = {
      kind: "method",
      name: "acme/diverged",
      version: 1,
      description: "Has gone astray at the second row",
      defaults: {},
      async *predict() {
        yield* [[0, 1], [NaN, 0], [1, 0]] as const;
        await Promise.resolve();
      },
    };
    const rows = [labeled("a", 1), labeled("b", 0), labeled("c", 1)];
    const context = { options: {}, rng: createRng(1), batchSize: 2, progress: { update() {} } };
    const fitting = () => fitOn(kind, diverged, new FakeModel(), rows, context);
    const error = await assertRejects(fitting, UserError, "The logits of a row are NaN and 0");
    assertStringIncludes(error.where, `row ${rows[1].id}`);
  });
}

Deno.test("calibratedOptions() gives the options that a calibrator was fitted with, for play to ask with", () =>
  withFolder(async (folder) => {
    const method = { name: "logits" } as Method;
    assertEquals(await calibratedOptions(folder, method), undefined);
    const options = { confidence: "entropy" };
    await writeMethod(folder, {
      method: "logits",
      options,
      base_model_name_or_path: "facts",
      base_model_fingerprint: "1",
    });
    assertEquals(await calibratedOptions(folder, method), options);
    await assertRejects(
      () => calibratedOptions(folder, { name: "sampling" } as Method),
      UserError,
      'fitted to method "logits"',
    );
  }));

/** Labelled answers, and how a task reads them. */
async function withLabels(work: (folder: string, args: readonly string[]) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await work(folder, [`--dataset=offline:${await writeLabels(folder, 12)}`, "--model-name=facts"]);
  });
}

const confidences = async (folder: string, args: readonly string[], logDir: string) => {
  const { stdout } = await succeed("evaluate", [
    ...args,
    "--prompt-style=oe",
    "--metric=accuracy",
    `--log-dir=${join(folder, logDir)}`,
    "--json",
  ]);
  const { evaluations: [{ folder: place }] } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
  const rows = await readPredictions(join(place, "predictions.csv"));
  const stored = JSON.parse(await Deno.readTextFile(join(place, "metrics.json")));
  return { values: rows.map(({ pCorrect }) => pCorrect!), calibrator: stored.calibrator };
};

gpuTest(
  "calibration-tune calibrates a method without training, and evaluate applies it to that method alone",
  () =>
    withLabels(async (folder, labels) => {
      const tune = [
        ...labels,
        "--method=logits",
        "--scale-temp",
        "--calibrator=platt",
        `--log-dir=${folder}/run`,
      ];
      const { stdout, stderr } = await succeed("calibration-tune", tune);
      assertStringIncludes(stderr, "fitted to 12 validation rows");
      const checkpoint = join(folder, "run", "checkpoint-0");
      assertStringIncludes(stdout, `calibrator in ${checkpoint}, platt, slope `);
      const files = Array.from(Deno.readDirSync(checkpoint), ({ name }) => name);
      assertEquals(files.sort(), ["calibrator.json", "method_config.json"]);
      const again = await succeed("calibration-tune", tune);
      assertStringIncludes(again.stderr, "scale-temp: inputs unchanged, skipped");

      const asked = [...labels, "--method=logits", `--query-peft-dir=${checkpoint}`];
      const raw = await confidences(folder, asked, "raw");
      const scaled = await confidences(folder, [...asked, "--scale-temp=logits"], "scaled");
      const { slope, intercept } = scaled.calibrator;
      assertEquals([raw.calibrator, scaled.calibrator.kind], [null, "platt"]);
      raw.values.forEach((p, index) => {
        const expected = 1 / (1 + Math.exp(-(slope * Math.log(p / (1 - p)) + intercept)));
        assert(Math.abs(scaled.values[index] - expected) < 1e-6, `${scaled.values[index]}, not ${expected}`);
      });

      const evaluate = [
        ...labels,
        "--prompt-style=oe",
        `--query-peft-dir=${checkpoint}`,
        `--log-dir=${folder}/other`,
      ];
      for (
        const [args, what] of [
          [
            ["--method=zero-shot", "--scale-temp=query"],
            'fitted to method "logits", but the method is "zero-shot"',
          ],
          [
            ["--method=logits", "--confidence=entropy", "--scale-temp=logits"],
            'confidence was "likelihood"; now it is "entropy"',
          ],
        ] as const
      ) {
        const { code, stderr } = await run("evaluate", [...evaluate, ...args]);
        assertEquals(code, 2, stderr);
        assertStringIncludes(stderr, what);
      }
    }),
);

gpuTest(
  "calibration-tune --method=sampling takes the options of the labeler that compares answers",
  () =>
    withLabels(async (folder, labels) => {
      const tune = [...labels, "--prompt-style=oe", "--method=sampling", "--samples=2", "--scale-temp"];
      const place = `--log-dir=${folder}/run`;
      await succeed("calibration-tune", [
        ...tune,
        ...["--calibrator=platt", "--strategy=local:facts", "--threshold=0.4", place],
      ]);
      const { stages } = JSON.parse(await Deno.readTextFile(join(folder, "run", "run.json")));
      assertEquals(stages["scale-temp"].inputs.labelerOptions, { threshold: 0.4, undecided: 0 });
      const { code, stderr } = await run("calibration-tune", [...tune, "--threshold=0.4", place]);
      assertEquals(code, 2);
      assertStringIncludes(stderr, 'Unknown flag "--threshold"');
    }),
);

gpuTest(
  "calibration-tune fits another calibrator to an adapter in place of the first, without training again",
  () =>
    withLabels(async (folder, labels) => {
      const tune = [
        ...labels,
        "--max-steps=2",
        "--lr=1e-2",
        "--batch-size=4",
        `--log-dir=${folder}/run`,
        "--scale-temp",
      ];
      const checkpoint = join(folder, "run", "checkpoint-2");
      await succeed("calibration-tune", tune);
      assertEquals(await exists(join(checkpoint, "temperature_model.safetensors")), true);
      const { stderr, stdout } = await succeed("calibration-tune", [...tune, "--calibrator=isotonic"]);
      assertStringIncludes(stderr, "train: inputs unchanged, skipped");
      assertStringIncludes(stdout, `adapter in ${checkpoint}, isotonic, `);
      assertEquals(await exists(join(checkpoint, "temperature_model.safetensors")), false);
      const asked = [...labels, `--query-peft-dir=${checkpoint}`, "--scale-temp=query"];
      const { values, calibrator } = await confidences(folder, asked, "evaluated");
      assertEquals(calibrator, JSON.parse(await Deno.readTextFile(join(checkpoint, "calibrator.json"))));
      const { probabilities } = calibrator as { probabilities: number[] };
      assert(values.every((p) => p >= probabilities[0] && p <= probabilities.at(-1)!), `${values}`);
    }),
);

for (
  const { task, args, code, what } of [
    {
      task: "calibration-tune",
      args: ["--scale-temp", "--calibrator=plat"],
      code: 2,
      what: 'did you mean "platt"?',
    },
    { task: "calibration-tune", args: ["--calibrator=platt"], code: 2, what: "No calibrator is fitted" },
    {
      task: "calibration-tune",
      args: ["--method=logits", "--scale-temp", "--max-steps=3"],
      code: 2,
      what: 'Unknown flag "--max-steps"',
    },
    { task: "calibration-tune", args: ["--prompt-style=ao"], code: 2, what: 'Unknown prompt-style "ao"' },
    {
      task: "calibration-tune",
      args: ["--method=logits"],
      code: 2,
      what: 'Method "logits" needs no training',
    },
    {
      task: "evaluate",
      args: ["--scale-temp=query"],
      code: 2,
      what: "There is no adapter whose temperature could be used",
    },
    {
      task: "evaluate",
      args: ["--method=logits", "--scale-temp=logits"],
      code: 2,
      what: "--method=logits --scale-temp",
    },
    {
      task: "evaluate",
      args: ["--scale-temp=probe", "--query-peft-dir=x"],
      code: 2,
      what: '"probe" is the confidence of probe and lora-probe',
    },
    { task: "evaluate", args: ["--scale-temp=logit"], code: 2, what: 'did you mean "logits"?' },
    {
      task: "evaluate",
      args: ["--method=logits", "--scale-temp=logits", "--query-peft-dir=by-hand"],
      code: 4,
      what: "No temperature was fitted",
    },
  ]
) {
  gpuTest(`${task} ${args.join(" ")} is refused: ${what}`, () =>
    withLabels(async (folder, labels) => {
      const style = task === "evaluate" ? ["--prompt-style=oe"] : [];
      const given = args.map((arg) => arg.replace("=by-hand", `=${folder}/by-hand`));
      const result = await run(task, [...labels, ...style, ...given, `--log-dir=${folder}/run`]);
      assertEquals(result.code, code, result.stderr);
      assertStringIncludes(result.stderr, what);
    }));
}

gpuTest(
  "calibration-tune refuses to calibrate by answers that are all right, saying what would help",
  () =>
    withLabels(async (folder, labels) => {
      const path = join(folder, "by-hand", "validation", "0.csv");
      await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replaceAll(",0\r\n", ",1\r\n"));
      const args = [
        ...labels,
        "--method=logits",
        "--scale-temp",
        "--calibrator=beta",
        `--log-dir=${folder}/run`,
      ];
      const { code, stderr } = await run("calibration-tune", args);
      assertEquals(code, 4, stderr);
      assertStringIncludes(stderr, "All 12 validation rows are labelled 1");
      const training = [...labels, "--max-steps=2", "--scale-temp", `--log-dir=${folder}/trained`];
      const early = await run("calibration-tune", training);
      assertEquals(early.code, 4, early.stderr);
      assertStringIncludes(early.stderr, "All 12 validation rows are labelled 1");
      assertEquals(await exists(join(folder, "trained", "checkpoint-2")), false);
    }),
);
