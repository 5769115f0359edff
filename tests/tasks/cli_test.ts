import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { exists } from "../../core/mod.ts";
import { available, NO_DRIVER, ROOT, run, start, succeed, withFolder, writeLabels } from "./_cli.ts";

const ACME = join(ROOT, "tests", "third_party", "acme", "mod.ts");
const MODEL = join(ROOT, "assets", "facts", "model");

const OUTPUTS = ["--dataset=facts", "--prompt-style=oe", "--model-name=facts", "--limit=2", "--splits=test"];

const COMMANDS = [
  "generate outputs",
  "generate labels",
  "calibration-tune",
  "classifier-tune",
  "evaluate",
  "matrix",
  "play",
  "publish",
  "report",
  "demo",
  "setup",
  "data ls",
  "data show",
  "data validate",
] as const;

/** Declares a test that needs an adapter. */
function gpuTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !available, fn });
}

/** The lines that are a JSON object. */
function jsonLines(stdout: string): string[] {
  return stdout.split("\n").filter((line) => line.startsWith("{"));
}

Deno.test.each(COMMANDS.map((command) => ({ command })))(
  "$command --help fits a screen of 80 by 42, and needs no driver",
  async ({ command }) => {
    const { code, stdout } = await run(command, ["--help"], NO_DRIVER);
    const lines = stdout.trimEnd().split("\n");
    assertEquals({ code, wide: lines.filter((line) => line.length > 80) }, { code: 0, wide: [] });
    assert(lines.length <= 42, `${lines.length} lines`);
  },
);

Deno.test("generate --help names its stages", async () => {
  const { code, stdout } = await run("generate", ["--help"]);
  assertEquals(code, 0);
  assertMatch(stdout, /generate outputs --help\n.*generate labels --help\n$/);
});

Deno.test("calibration-tune --help shows the options of the method that is trained by default", async () => {
  const { stdout } = await succeed("calibration-tune", ["--help"]);
  assertMatch(stdout, /--kl-decay=<n> +weight of staying close to the reference \(1\)\n/);
  assertMatch(stdout, /--ref-peft-dir=<text> +adapter of the reference; else --peft-dir, or none\n/);
});

Deno.test("calibration-tune --help shows the options of a stranger's method", async () => {
  const { stdout } = await succeed("calibration-tune", [
    `--plugin=${ACME}`,
    "--method=acme/first-word",
    "--help",
  ]);
  assertStringIncludes(stdout, "--pseudo-count=<n>");
});

const TUNE = ["--dataset=facts", "--model-name=facts", "--max-steps=1"];

Deno.test.each([
  { command: "generate", args: [], what: "No stage was named" },
  { command: "generate", args: ["otputs"], what: 'Unknown stage "otputs"' },
  { command: "generate outputs", args: ["--modle-name=facts"], what: 'Unknown flag "--modle-name"' },
  { command: "generate outputs", args: ["--dataset=facts"], what: "--prompt-style is missing" },
  { command: "generate outputs", args: [...OUTPUTS, "--limit=0"], what: '--limit is "0"' },
  { command: "generate outputs", args: [...OUTPUTS, "--dataset=fact"], what: 'Unknown dataset "fact"' },
  {
    command: "generate outputs",
    args: [...OUTPUTS, "--prompt-style=oee"],
    what: 'Unknown prompt-style "oee"',
  },
  { command: "generate outputs", args: [...OUTPUTS, "--model-name=fact"], what: 'Unknown model "fact"' },
  { command: "generate outputs", args: [...OUTPUTS, "--model-name=deno.json"], what: "Unknown model" },
  { command: "generate outputs", args: [...OUTPUTS, "--splits=tst"], what: 'has no split "tst"' },
  {
    command: "generate outputs",
    args: [...OUTPUTS, "--plugin=./nope.ts"],
    what: "Cannot load the plugin module",
  },
  {
    command: "generate outputs",
    args: [...OUTPUTS, `--plugin=${ACME}`, `--plugin=${pathToFileURL(ACME).href}`],
    what: 'share the name "acme/colours"',
  },
  {
    command: "generate outputs",
    args: [...OUTPUTS, "--dataset=facts:x"],
    what: "takes nothing behind a colon",
  },
  {
    command: "generate outputs",
    args: [...OUTPUTS, "--dataset=mmlu"],
    what: "needs something behind a colon",
  },
  {
    command: "generate labels",
    args: ["--dataset=facts", "--strategy=substr"],
    what: 'Unknown labeler "substr"',
  },
  {
    command: "generate labels",
    args: ["--dataset=facts", "--strategy=multi:substring,local:fact"],
    what: 'Unknown model "fact"',
    named: "--strategy=local:fact",
  },
  {
    command: "generate labels",
    args: ["--dataset=facts", "--strategy=local:openai:gpt-4o"],
    what: 'Model "openai:gpt-4o" gives answers and nothing else',
    named: "--strategy=local:openai:gpt-4o",
  },
  {
    command: "generate outputs",
    args: [...OUTPUTS, "--dataset=eval:mmlu"],
    what: "eval:mmlu is a collection of 57",
  },
  {
    command: "generate labels",
    args: ["--dataset=modiste_mmlu_all"],
    what: "modiste_mmlu_all is a collection of 4",
  },
  { command: "calibration-tune", args: [...TUNE, "--method=lora"], what: 'Unknown method "lora"' },
  { command: "calibration-tune", args: [...TUNE, "--lora-rnk=8"], what: 'Unknown flag "--lora-rnk"' },
  { command: "calibration-tune", args: [...TUNE, "--lr=fast"], what: '--lr is "fast"' },
  { command: "evaluate", args: [...OUTPUTS, "--method=lora"], what: 'Unknown method "lora"' },
  { command: "evaluate", args: [...OUTPUTS, "--metric=eec"], what: 'Unknown metric "eec"' },
  { command: "evaluate", args: [...OUTPUTS, "--mode=probe"], what: 'Unknown mode "probe"' },
  {
    command: "evaluate",
    args: [...OUTPUTS, "--scale-temp=query"],
    what: "There is no adapter whose temperature",
  },
  { command: "evaluate", args: [...OUTPUTS, "--dataset=eval:mmul"], what: 'Unknown benchmark "mmul"' },
  { command: "report", args: [], what: "--log-dir is missing" },
  { command: "demo", args: ["--prompt-style"], what: "--prompt-style has no value" },
  { command: "setup", args: ["--verbose"], what: 'Unknown flag "--verbose"' },
])(
  "$command $args is refused as wrong usage",
  ({ command, args, what, named = "" }) =>
    withFolder(async (folder) => {
      const place = ["generate", "report", "setup"].includes(command) ? [] : [`--log-dir=${folder}`];
      const { code, stdout, stderr } = await run(command, [...args, ...place]);
      assertEquals({ code, stdout }, { code: 2, stdout: "" });
      const [first, where, fix, ...rest] = stderr.split("\n");
      assertStringIncludes(first, what);
      assertMatch(`${where}\n${fix}`, /^ {2}where: .+\n {2}fix: {3}.+$/);
      assertStringIncludes(where, named);
      assertEquals(rest, [""]);
    }),
);

Deno.test("calibration-tune refuses to train on a benchmark", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(join(folder, "test"));
    await Deno.writeTextFile(join(folder, "test", "anatomy_test.csv"), "question\n");
    const args = [
      ...TUNE,
      "--dataset=mmlu:anatomy",
      `--data-dir=${folder}`,
      `--log-dir=${join(folder, "run")}`,
    ];
    const { code, stderr } = await run("calibration-tune", args);
    assertEquals(code, 2);
    assertStringIncludes(stderr, 'Dataset "mmlu:anatomy" is for evaluation only');
  }));

/** A broken thing, and the command that meets it; `folder` is empty and theirs. */
const BROKEN: readonly {
  readonly thing: string;
  readonly what: string;
  make(folder: string): Promise<readonly [command: string, ...args: string[]]>;
}[] = [
  {
    thing: "a checkpoint cut short",
    what: "model.safetensors",
    async make(folder) {
      for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json"]) {
        await Deno.copyFile(join(MODEL, name), join(folder, name));
      }
      const weights = await Deno.readFile(join(MODEL, "model.safetensors"));
      await Deno.writeFile(join(folder, "model.safetensors"), weights.subarray(0, weights.length - 100));
      return ["generate outputs", ...OUTPUTS, `--model-name=${folder}`];
    },
  },
  {
    thing: "a folder that is no checkpoint",
    what: "config.json",
    make: (folder) => Promise.resolve(["generate outputs", ...OUTPUTS, `--model-name=${folder}`]),
  },
  {
    thing: "answers without a column",
    what: 'Column "target" is missing',
    async make(folder) {
      await Deno.mkdir(join(folder, "test"));
      await Deno.writeTextFile(join(folder, "test", "0.csv"), "context,target_prompt,output\na,b,c\n");
      return ["generate labels", `--dataset=offline:${folder}`];
    },
  },
  {
    thing: "answers in a folder that is not there",
    what: "There is no folder",
    make: (folder) => Promise.resolve(["generate labels", `--dataset=offline:${join(folder, "nope")}`]),
  },
  {
    thing: "labels where answers should be",
    what: "has no answer",
    make: () => Promise.resolve(["calibration-tune", ...TUNE]),
  },
  {
    thing: "training rows of one label only",
    what: "All training rows are labelled 1",
    async make(folder) {
      const labels = await writeLabels(folder);
      const path = join(labels, "train", "0.csv");
      await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replaceAll(",0\r\n", ",1\r\n"));
      return ["calibration-tune", ...TUNE, `--dataset=offline:${labels}`];
    },
  },
  {
    thing: "an adapter that is not there",
    what: "There is no checkpoint",
    make: (folder) => Promise.resolve(["evaluate", ...OUTPUTS, `--query-peft-dir=${join(folder, "nope")}`]),
  },
  {
    thing: "a run in place of its checkpoint",
    what: "which holds checkpoints",
    async make(folder) {
      await Deno.mkdir(join(folder, "checkpoint-20"));
      return ["evaluate", ...OUTPUTS, `--query-peft-dir=${folder}`];
    },
  },
  {
    thing: "a run without an evaluation",
    what: "There is no evaluation in",
    make: (folder) => Promise.resolve(["report", `--log-dir=${folder}`]),
  },
];

for (const { thing, what, make } of BROKEN) {
  Deno.test({
    name: `${thing} ends a command with 4, without a stack`,
    // Some are found only once the model is loaded.
    ignore: !available,
    fn: () =>
      withFolder((folder) =>
        withFolder(async (place) => {
          const [command, ...args] = await make(folder);
          const logDir = command === "report" ? [] : [`--log-dir=${place}`];
          const { code, stdout, stderr } = await run(command, [...args, ...logDir]);
          assertEquals({ code, stdout }, { code: 4, stdout: "" });
          assertStringIncludes(stderr, what);
          assertEquals(stderr.includes("\n    at "), false, stderr);
        })
      ),
  });
}

/** The module of a labeler with this function. */
const labelerModule = (label: string) =>
  "export default { kind: 'labeler', name: 'x/bad', version: 1, description: 'Bad', defaults: {}, " +
  `${label} };`;

Deno.test.each([
  { module: "throw new Error('no luck');", what: "threw while loading: no luck", stack: true },
  {
    module: labelerModule("label() { throw new Error('no luck'); }"),
    what: 'Labeler "x/bad" threw: no luck',
    stack: true,
  },
  { module: "export const labeler = 1;", what: "has no default export", stack: false },
  { module: labelerModule("label: () => 0.5"), what: 'Labeler "x/bad" gave 0.5', stack: false },
])(
  "a plugin module `$module` ends a command with 1, and with a stack where something threw: $stack",
  ({ module, what, stack }) =>
    withFolder(async (folder) => {
      const plugin = join(folder, "plugin.ts");
      await Deno.writeTextFile(plugin, module);
      const { code, stderr } = await run("generate labels", [
        `--dataset=offline:${await writeLabels(folder)}`,
        `--plugin=${plugin}`,
        "--strategy=x/bad",
        `--log-dir=${join(folder, "run")}`,
      ]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, what);
      assertEquals(stderr.includes("\n    at "), stack, stderr);
    }),
);

Deno.test("a command that computes ends with 3 and without a stack where there is no adapter", () =>
  withFolder(async (folder) => {
    const { code, stdout, stderr } = await run(
      "generate outputs",
      [...OUTPUTS, `--log-dir=${folder}`],
      NO_DRIVER,
    );
    assertEquals({ code, stdout }, { code: 3, stdout: "" });
    assertMatch(stderr, /^No usable WebGPU adapter\n {2}where: .+\n {2}fix: {3}.+\n$/);
  }));

Deno.test("a command whose output nobody reads ends as a shell expects, without a word", async () => {
  const child = start("evaluate", ["--help"]);
  await child.stdout.cancel();
  const stderr = await new Response(child.stderr).text();
  assertEquals({ code: (await child.status).code, stderr }, { code: 141, stderr: "" });
});

Deno.test("a command that does not compute needs no adapter", () =>
  withFolder(async (folder) => {
    const args = [`--dataset=offline:${await writeLabels(folder)}`, `--log-dir=${join(folder, "run")}`];
    assertEquals((await run("generate labels", args, NO_DRIVER)).code, 0);
  }));

gpuTest("--json prints one JSON object, as the last line of stdout", () =>
  withFolder(async (folder) => {
    const { stdout } = await succeed("generate outputs", [...OUTPUTS, `--log-dir=${folder}`, "--json"]);
    const lines = stdout.trimEnd().split("\n");
    assertEquals(jsonLines(stdout), lines.slice(-1));
    assertEquals(JSON.parse(lines.at(-1)!), { logDir: folder, rows: { test: 2 }, skipped: [] });
  }));

gpuTest(
  "a command shows its progress on stderr and its result on stdout",
  () =>
    withFolder(async (folder) => {
      const { stdout, stderr } = await succeed("generate outputs", [...OUTPUTS, `--log-dir=${folder}`]);
      assertEquals(stdout, `2 test rows in ${folder}\n`);
      assertMatch(stderr, /answer test {2}100% {2}2\/2/);
    }),
);

gpuTest("run.json holds the command line as it was typed", () =>
  withFolder(async (folder) => {
    const args = [...OUTPUTS, `--log-dir=${folder}`];
    await succeed("generate outputs", args);
    const { stages } = JSON.parse(await Deno.readTextFile(join(folder, "run.json")));
    assertEquals(stages["outputs/test"].about.command, ["deno task generate outputs", ...args].join(" "));
  }));

gpuTest(
  "two evaluations with one seed write the same predictions.csv, byte for byte",
  () =>
    withFolder(async (folder) => {
      const files: string[] = [];
      for (const name of ["one", "two"]) {
        const place = join(folder, name);
        await succeed("evaluate", [...OUTPUTS, "--limit=40", `--log-dir=${place}`]);
        files.push(await Deno.readTextFile(join(place, "metrics", "facts", "test", "predictions.csv")));
      }
      assertEquals(files[1], files[0]);
    }),
);

gpuTest(
  "evaluate computes other metrics of the same confidences without asking for them again",
  () =>
    withFolder(async (folder) => {
      const labels = `--dataset=offline:${await writeLabels(folder)}`, place = join(folder, "run");
      const args = [labels, "--prompt-style=oe", "--model-name=facts", `--log-dir=${place}`, "--json"];
      const measured = async (...metrics: readonly string[]) => {
        const { stdout, stderr } = await succeed("evaluate", [...args, ...metrics]);
        const [{ folder, metrics: values }] = JSON.parse(stdout.trimEnd().split("\n").at(-1)!).evaluations;
        const files = await Promise.all(
          ["predictions.csv", "metrics.json"].map((name) => Deno.readTextFile(join(folder, name))),
        );
        return { asked: stderr.includes("confidence  100%"), names: Object.keys(values), files };
      };
      const first = await measured("--metric=brier", "--metric=nll");
      const second = await measured("--metric=nll", "--metric=accuracy");
      assertEquals([first.asked, second.asked], [true, false]);
      assertEquals(second.names, ["nll", "accuracy"]);
      assertEquals(second.files[0], first.files[0]);
      // Back again, all is as it was the first time.
      assertEquals((await measured("--metric=brier", "--metric=nll")).files, first.files);
      // What decides the confidences is refused as before.
      const { code, stderr } = await run("evaluate", [...args, "--metric=nll", "--limit=4"]);
      assertEquals(code, 2);
      assertStringIncludes(stderr, "--limit was null, is 4; --metric was brier,nll, is nll");
    }),
);

gpuTest("evaluate runs a collection to its end and gives both means", () =>
  withFolder(async (folder) => {
    for (const [split, rows] of [["dev", 5], ["test", 2]] as const) {
      await Deno.mkdir(join(folder, split));
      for (const subject of ["anatomy", "virology"]) {
        const lines = Array.from({ length: rows }, (_, row) => `Which is ${row}?,0,1,2,3,${row % 4}`);
        await Deno.writeTextFile(
          join(folder, split, `${subject}_${split}.csv`),
          ["question,choice0,choice1,choice2,choice3,answer", ...lines, ""].join("\n"),
        );
      }
    }
    const { stdout } = await succeed("evaluate", [
      ...["--dataset=eval:mmlu", `--data-dir=${folder}`, "--prompt-style=choice", "--model-name=facts"],
      ...["--eval-kshot=1", `--log-dir=${join(folder, "run")}`, "--json"],
    ]);
    const { evaluations, means } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    assertEquals(
      evaluations.map(({ dataset, n }: { dataset: string; n: number }) => [dataset, n]),
      [["mmlu:anatomy", 2], ["mmlu:virology", 2]],
    );
    assertEquals(Object.keys(means), ["unweighted", "weighted"]);
  }));

gpuTest(
  "a stranger's plugins of every kind work in the command that uses them",
  () =>
    withFolder(async (folder) => {
      const common = [`--plugin=${ACME}`, `--log-dir=${folder}`];
      const model = ["--model-name=facts", "--prompt-style=acme/quiz"];
      await succeed("generate outputs", [...common, ...model, "--dataset=acme/colours"]);
      await succeed("generate labels", [
        ...common,
        `--dataset=offline:${join(folder, "outputs")}`,
        "--strategy=acme/exact-match",
      ]);
      const labels = `--dataset=offline:${join(folder, "labels")}`;
      await succeed("calibration-tune", [
        ...common,
        labels,
        "--method=acme/first-word",
        "--model-name=facts",
        "--pseudo-count=4",
      ]);
      await succeed("evaluate", [
        ...common,
        ...model,
        labels,
        "--method=acme/first-word",
        `--query-peft-dir=${join(folder, "checkpoint-1")}`,
        "--metric=acme/sharpness",
      ]);
      // A single run's report lies in its folder.
      await succeed("report", common);
      assertStringIncludes(await Deno.readTextFile(join(folder, "report.html")), "acme/sharpness");
      assert(await exists(join(folder, "checkpoint-1", "counts.json")));
    }),
);
