import { assert, assertAlmostEquals, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "node:path";
import { choice, type Generation, readPredictions, UserError } from "@credence/credence";
import { FakeModel } from "@credence/credence/testing";
import { answerLogits } from "../../tasks/_answer_logits.ts";
import { checkStyle, chooseMode, MODE_NAMES } from "../../tasks/_modes.ts";
import { available, run, succeed, withFolder, writeLabels } from "./_cli.ts";

for (
  const [name, expected] of [
    ["query", { maxNewTokens: 100 }],
    ["oe", { maxNewTokens: 100, promptStyle: "oe" }],
    ["oe_exact-match", { maxNewTokens: 100, promptStyle: "oe", strategy: "exact-match" }],
    ["query_choice", { maxNewTokens: 1, promptStyle: "choice", strategy: "substring", answerLogits: true }],
    ["choice", { maxNewTokens: 1, promptStyle: "choice", strategy: "substring", answerLogits: true }],
    ["query_logits", { stored: true }],
    ["class", { method: "probe", maxNewTokens: 100 }],
    ["class_oe", { method: "probe", maxNewTokens: 100, promptStyle: "oe" }],
    ["class_choice", { method: "probe", maxNewTokens: 1, promptStyle: "choice", strategy: "substring" }],
    ["class_logits", { stored: true }],
    ["us_oe", { method: "sampling", maxNewTokens: 30, promptStyle: "oe" }],
    ["us_oe_a_b", { method: "sampling", maxNewTokens: 30, promptStyle: "oe", strategy: "a_b" }],
    ["vrbal", { method: "verbalized", options: { style: "vrbal" }, maxNewTokens: 30 }],
    ["ve_2s1CoT_oe", {
      method: "verbalized",
      options: { style: "2s1CoT" },
      maxNewTokens: 30,
      promptStyle: "oe",
    }],
  ] as const
) {
  Deno.test(`mode ${name} stands for ${JSON.stringify(expected)}`, () => {
    assertEquals(chooseMode(name), expected);
  });
}

Deno.test("no mode sets nothing", () => assertEquals(chooseMode(undefined), {}));

for (
  const [name, fix] of [["quary", 'did you mean "query"?'], ["cc_oe", "--scale-temp"], [
    "ve_3s1g_oe",
    "did you mean",
  ]]
) {
  Deno.test(`mode ${name} is refused: ${fix}`, () => {
    const error = assertThrows(() => chooseMode(name), UserError);
    assertEquals([error.kind, error.where], ["usage", "--mode"]);
    assertStringIncludes(error.fix, fix);
  });
}

Deno.test("a mode of one prompt style is refused with another, naming the style it is of", () => {
  checkStyle("us_oe", chooseMode("us_oe"), "oe");
  checkStyle("query", chooseMode("query"), "choice");
  const error = assertThrows(() => checkStyle("choice", chooseMode("choice"), "oe"), UserError);
  assertStringIncludes(error.fix, "--prompt-style=choice");
});

Deno.test("docs/methods.md has a row for every mode", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/methods.md", import.meta.url));
  const rows = text.split("## Modes")[1].split("\n").filter((line) => line.startsWith("| `")).join("\n");
  assertEquals(MODE_NAMES.filter((name) => !rows.includes(`\`${name}\``)), []);
});

Deno.test("answerLogits() judges the likeliest option, of any number, whatever was answered", async () => {
  // Of so many options the model finds the last likeliest, by so much.
  class Last extends FakeModel {
    override async *tokenLogits(sequences: readonly (readonly number[])[], tokens: readonly number[]) {
      for (const _ of sequences) yield await Promise.resolve(tokens.map((_, index) => index));
    }
  }
  const row = (options: number, right: number): Generation => {
    const choices = Array.from({ length: options }, (_, index) => `number ${index}`);
    const question = { id: "q", split: "test", question: "Which?", choices, answer: right } as const;
    return { ...choice.render(question, [], {}), output: "a" };
  };
  const share = (count: number, temperature: number) =>
    1 / Array.from({ length: count }, (_, k) => Math.exp(-k / temperature)).reduce((sum, e) => sum + e);
  for (const temperature of [1, 0.8]) {
    const judged = await answerLogits(new Last(), [row(2, 1), row(6, 5), row(6, 0)], {
      batchSize: 2,
      progress: { update() {} },
      temperature,
    });
    assertEquals(judged.map(({ output, label }) => [output, label]), [["b", 1], ["f", 1], ["f", 0]]);
    const [two, six] = [share(2, temperature), share(6, temperature)];
    judged.forEach(({ pCorrect }, index) => assertAlmostEquals(pCorrect!, [two, six, six][index], 1e-12));
  }
});

const gpuTest = (name: string, fn: () => Promise<void>) => Deno.test({ name, ignore: !available, fn });

gpuTest(
  "evaluate --mode=choice answers with one token, and measures the options' logits beside; flags win",
  () =>
    withFolder(async (folder) => {
      const args = [
        "--dataset=facts",
        "--prompt-style=choice",
        "--model-name=facts",
        "--limit=6",
        "--metric=accuracy",
        "--json",
      ];
      const evaluate = async (...more: string[]) => {
        const place = join(folder, `${more.length}`);
        const { stdout } = await succeed("evaluate", [...args, ...more, `--log-dir=${place}`]);
        const { evaluations: [{ folder: metrics, answerLogits }] } = JSON.parse(
          stdout.trimEnd().split("\n").at(-1)!,
        );
        const { stages } = JSON.parse(await Deno.readTextFile(join(place, "run.json")));
        const { inputs } = stages["metrics/facts/test"];
        const stored = JSON.parse(await Deno.readTextFile(join(metrics, "metrics.json")));
        return { inputs, answerLogits, stored, stdout };
      };
      const plain = await evaluate("--mode=choice");
      assertEquals([plain.inputs.maxNewTokens, plain.inputs.method.name, plain.stored.mode], [
        1,
        "zero-shot",
        "choice",
      ]);
      assertEquals(plain.stored.answerLogits, plain.answerLogits);
      assertEquals(plain.answerLogits.n, 6);
      assertStringIncludes(plain.stdout, "facts: by the logits of the options alone, accuracy ");
      const given = await evaluate(
        "--mode=choice",
        "--max-new-tokens=3",
        "--method=logits",
        "--confidence=choice",
      );
      assertEquals([given.inputs.maxNewTokens, given.inputs.method.name], [3, "logits"]);
      assert(given.answerLogits);
      // Of several datasets, the means; by other metrics, the same confidences.
      const both = ["--mode=choice", "--splits=validation,test", `--log-dir=${join(folder, "both")}`];
      await succeed("evaluate", [...args, ...both]);
      const again = await succeed("evaluate", [...args, ...both, "--metric=brier"]);
      assertEquals(again.stderr.match(/The confidences are there/g)?.length, 2);
      const [, table] = again.stdout.split("By the logits of the options alone:");
      assertStringIncludes(table, "mean over datasets");
      const { evaluations, answerLogitsMeans } = JSON.parse(again.stdout.trimEnd().split("\n").at(-1)!);
      const values = evaluations.map((one: typeof plain) => one.answerLogits.metrics.brier.value);
      assertAlmostEquals(answerLogitsMeans.unweighted.brier.value, (values[0] + values[1]) / 2, 1e-12);
    }),
);

gpuTest(
  "evaluate --mode=choice --scale-temp=logits divides the options' logits and the question's, as the research code",
  () =>
    withFolder(async (folder) => {
      const questions = ["--prompt-style=choice", "--model-name=facts", "--limit=24"];
      const calibrated = join(folder, "calibrated"), into = `--log-dir=${calibrated}`;
      const answers = ["--splits=validation", ...questions, into];
      await succeed("generate outputs", ["--dataset=facts", ...answers]);
      const labels = ["--strategy=substring", "--splits=validation", into];
      await succeed("generate labels", [`--dataset=offline:${calibrated}/outputs`, ...labels]);
      const tune = ["--method=logits", "--confidence=choice", "--scale-temp", into, "--json"];
      const { stdout } = await succeed("calibration-tune", [
        `--dataset=offline:${calibrated}/labels`,
        "--model-name=facts",
        ...tune,
      ]);
      const { checkpoint, temperature } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
      const evaluate = async (name: string, ...more: string[]) => {
        const mode = ["--mode=choice", "--metric=nll", `--log-dir=${join(folder, name)}`];
        await succeed("evaluate", ["--dataset=facts", ...questions, ...mode, ...more]);
        const place = join(folder, name, "metrics", "facts", "test");
        const rows = await readPredictions(join(place, "predictions.csv"));
        const { method, answerLogits } = JSON.parse(await Deno.readTextFile(join(place, "metrics.json")));
        return {
          method,
          nll: answerLogits.metrics.nll.value,
          odds: rows.map(({ pCorrect: p }) => Math.log(p! / (1 - p!))),
        };
      };
      const raw = await evaluate("raw");
      const scaled = await evaluate("scaled", `--query-peft-dir=${checkpoint}`, "--scale-temp=logits");
      assertEquals([raw.method, scaled.method], ["zero-shot", "zero-shot"]);
      assert(Math.abs(temperature - 1) > 1e-3 && raw.nll !== scaled.nll, `temperature ${temperature}`);
      raw.odds.forEach((odds, row) => assertAlmostEquals(scaled.odds[row], odds / temperature, 1e-5));
    }),
);

gpuTest(
  "evaluate --mode=us_oe_<strategy> samples, and the labeler that it names labels and compares",
  () =>
    withFolder(async (folder) => {
      const args = [
        "--dataset=facts",
        "--prompt-style=oe",
        "--model-name=facts",
        "--limit=4",
        "--metric=accuracy",
      ];
      const mode = ["--mode=us_oe_exact-match", "--samples=2", `--log-dir=${folder}`];
      await succeed("evaluate", [...args, ...mode]);
      const { stages } = JSON.parse(await Deno.readTextFile(join(folder, "run.json")));
      const { labeler, method, options, maxNewTokens } = stages["metrics/facts/test"].inputs;
      assertEquals([labeler.name, method.name, options.samples, maxNewTokens], [
        "exact-match",
        "sampling",
        2,
        30,
      ]);
    }),
);

gpuTest("evaluate says where the labeler of a mode has nothing to label", () =>
  withFolder(async (folder) => {
    const labels = `--dataset=offline:${await writeLabels(folder, 4)}`;
    const rest = ["--prompt-style=oe", "--model-name=facts", "--metric=accuracy", `--log-dir=${folder}/run`];
    const { stderr } = await succeed("evaluate", [labels, ...rest, "--mode=oe_exact-match"]);
    assertStringIncludes(stderr, "are labelled already: exact-match labels none of them");
  }));

for (
  const [args, code, what] of [
    [["--mode=cc_oe"], 2, "contextual calibration"],
    [["--mode=choice"], 2, "use --prompt-style=choice"],
    [["--mode=query_logits"], 2, "measures stored scores"],
    [["--mode=oe_substrin"], 2, 'did you mean "substring"?'],
    [["--mode=class_oe"], 2, "has no classifier before it is trained"],
  ] as const
) {
  gpuTest(
    `evaluate ${args.join(" ")} of open-ended answers is refused: ${what}`,
    () =>
      withFolder(async (folder) => {
        const labels = `--dataset=offline:${await writeLabels(folder, 4)}`;
        const rest = ["--prompt-style=oe", "--model-name=facts", `--log-dir=${folder}/run`];
        const result = await run("evaluate", [labels, ...rest, ...args]);
        assertEquals(result.code, code, result.stderr);
        assertStringIncludes(result.stderr, what);
      }),
  );
}
