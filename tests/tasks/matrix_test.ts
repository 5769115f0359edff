import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { exists } from "../../core/mod.ts";
import { available, NO_DRIVER, run, start, succeed, withFolder } from "./_cli.ts";

/** Declares a test that needs an adapter. */
function gpuTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !available, fn });
}

/** Two styles, two shares, and a method that needs no training; a second or two of computing. */
const MATRIX = {
  name: "tiny",
  models: { facts: { "model-name": "facts" } },
  answers: { "limit": 24 },
  methods: {
    "untuned": { method: "lora-prompt", train: false },
    "lora-prompt": {
      train: { "max-steps": 2, "batch-size": 4, "lr": 0.002, "scale-temp": true },
      evaluate: { "scale-temp": "query" },
    },
  },
  grids: [
    {
      "title": "Transfer",
      "method": ["untuned", "lora-prompt"],
      "model": "facts",
      "dataset": "facts",
      "train-style": "oe",
      "eval-style": ["oe", "choice"],
    },
    {
      "title": "Scaling",
      "method": "lora-prompt",
      "model": "facts",
      "dataset": "facts",
      "train-style": "oe",
      "fraction": [0.5, 1],
    },
  ],
};

async function withMatrix(work: (file: string, place: string) => Promise<void>, contents: unknown = MATRIX) {
  await withFolder(async (folder) => {
    const file = join(folder, "tiny.json");
    await Deno.writeTextFile(file, JSON.stringify(contents));
    await work(file, `--log-dir=${join(folder, "run")}`);
  });
}

interface Listed {
  readonly stages: readonly { readonly stage: string; readonly state: string }[];
}

async function states(file: string, place: string): Promise<Record<string, string>> {
  const { stdout } = await run("matrix", [file, place, "--dry-run", "--json"], NO_DRIVER);
  const { stages } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as Listed;
  return Object.fromEntries(stages.map(({ stage, state }) => [stage, state]));
}

const STAGES = [
  "answers/facts/facts/oe",
  "answers/facts/facts/choice",
  "fractions/facts/facts/oe-50pct-seed137",
  "evaluate/untuned/facts/untrained-seed137/facts-oe",
  "evaluate/untuned/facts/untrained-seed137/facts-choice",
  "train/lora-prompt/facts/facts-oe-100pct-seed137",
  "evaluate/lora-prompt/facts/facts-oe-100pct-seed137/facts-oe",
  "evaluate/lora-prompt/facts/facts-oe-100pct-seed137/facts-choice",
  "train/lora-prompt/facts/facts-oe-50pct-seed137",
  "evaluate/lora-prompt/facts/facts-oe-50pct-seed137/facts-oe",
];

const all = (state: string) => Object.fromEntries(STAGES.map((stage) => [stage, state]));

Deno.test("matrix --dry-run lists the stages in their order without a driver, and makes nothing", () =>
  withMatrix(async (file, place) => {
    const { code, stdout } = await run("matrix", [file, place, "--dry-run"], NO_DRIVER);
    assertEquals(code, 0);
    const lines = stdout.trimEnd().split("\n");
    assertEquals(
      lines.slice(2, -1).map((line) => line.split(/ +/)),
      STAGES.map((stage) => [stage, "to do".split(" ")].flat(2)),
    );
    assertMatch(lines.at(-1)!, /^10 stages in .+, 10 to do$/);
    assertEquals(await exists(place.replace("--log-dir=", "")), false);
  }));

Deno.test("matrix without a file is refused with an example", async () => {
  const { code, stderr } = await run("matrix", ["--dry-run"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "No matrix file was named");
});

Deno.test("matrix takes its file before and after flags, whether these have their value behind = or a blank", () =>
  withMatrix(async (file, place) => {
    for (const args of [["--dry-run", file, place], [...place.split("="), "--dry-run", file]]) {
      const { code, stdout } = await run("matrix", args, NO_DRIVER);
      assertEquals(code, 0);
      assertStringIncludes(stdout, `10 stages in ${place.replace("--log-dir=", "")}`);
    }
  }));

Deno.test("matrix names the place of a typo, before anything is done", () => {
  const grids = [{ ...MATRIX.grids[0], method: ["untund"] }];
  return withMatrix(async (file, place) => {
    const { code, stdout, stderr } = await run("matrix", [file, place]);
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    assertEquals(
      stderr,
      `Unknown value "untund"\n  where: ${file}: grids[0].method[0]\n  fix:   did you mean "untuned"?\n`,
    );
    assertEquals(await exists(place.replace("--log-dir=", "")), false);
  }, { ...MATRIX, grids });
});

gpuTest(
  "matrix does each stage once, goes on where it was killed, and does only what has changed",
  () =>
    withMatrix(async (file, place) => {
      const folder = place.replace("--log-dir=", "");
      await Deno.mkdir(folder);
      const page = join(folder, "page.md"),
        write = [`--write=${page}`, `--write=${join(folder, "copy.json")}`];

      const killed = start("matrix", [file, place]);
      for (const trained = join(folder, "train"); !await exists(trained);) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      killed.kill("SIGKILL");
      await killed.output();
      const begun = await states(file, place);
      assertEquals(begun[STAGES[0]], "done");
      assertEquals(begun[STAGES.at(-1)!], "to do");

      const { stdout, stderr } = await succeed("matrix", [file, place, ...write, "--json"]);
      assertStringIncludes(stderr, "outputs/test: inputs unchanged, skipped");
      assertEquals(await states(file, place), all("done"));
      const { results, failures } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
      assertEquals({ results: results.length, failures }, { results: 5, failures: [] });
      for (const { cell, metrics, n, tokens, trainSeconds } of results) {
        assertEquals(n, 24);
        assert(metrics.auroc.value >= 0 && metrics.auroc.value <= 1);
        assertEquals(tokens.written, 0);
        // The frozen model that answered has read question and answer; under an adapter they are read again.
        assertEquals(tokens.kept > 0, cell.training === undefined);
        assertEquals(trainSeconds !== null, cell.training !== undefined);
      }

      const again = await succeed("matrix", [file, place, ...write]);
      assertEquals(
        again.stderr.split("\n").filter((line) =>
          /%|answer|confidence/.test(line) && !/^\[|skipped/.test(line)
        ),
        [],
      );
      assertStringIncludes(again.stdout, "Transfer: style transfer");
      assertStringIncludes(again.stdout, "Scaling: data scaling");
      assertStringIncludes(await Deno.readTextFile(page), "| lora-prompt | oe |");
      assertEquals(JSON.parse(await Deno.readTextFile(join(folder, "copy.json"))).results, results);

      const lora = {
        ...MATRIX.methods["lora-prompt"],
        train: { ...MATRIX.methods["lora-prompt"].train, "max-steps": 3 },
      };
      await Deno.writeTextFile(
        file,
        JSON.stringify({ ...MATRIX, methods: { ...MATRIX.methods, "lora-prompt": lora } }),
      );
      const changed = Object.entries(await states(file, place)).filter(([, state]) => state !== "done");
      assertEquals(
        changed,
        STAGES.filter((stage) => stage.includes("lora-prompt")).map((stage) => [stage, "changed"]),
      );
    }),
);

gpuTest("matrix does what it can where a cell's data is wrong, shows a dash there, and ends with 4", () => {
  // One row of 24: all rows have the same label.
  const grids = [{ ...MATRIX.grids[1], fraction: [0.04, 1] }];
  return withMatrix(async (file, place) => {
    const { code, stdout, stderr } = await run("matrix", [file, place]);
    assertEquals(code, 4);
    assertMatch(stdout, /lora-prompt +– +0\.\d+ \/ /);
    assertMatch(
      stderr,
      /\n2 of 6 stages could not be done, the first because: All 1 validation rows are labelled [01]\n/,
    );
  }, { ...MATRIX, grids });
});

gpuTest(
  "matrix reads the columns it is told, compares samples as it labels, and fills every column",
  () =>
    withMatrix(async (file, place) => {
      const table = join(file, "..", "quiz.csv");
      const rows = ["Suru", "Mapu", "Vezu", "Jubu"].map((name) =>
        `Which tree is planted in ${name}?,teak,test`
      );
      await Deno.writeTextFile(table, ["q,a,part", ...rows].join("\n"));
      const contents = {
        ...MATRIX,
        datasets: { quiz: { dataset: `csv:${table}`, fields: "question=q,answer=a,split=part" } },
        answers: { strategy: "local:facts", threshold: 0.4 },
        methods: { sampling: { evaluate: { samples: 2 } } },
        metrics: ["accuracy", "mce"],
        grids: [{ ...MATRIX.grids[0], method: "sampling", dataset: "quiz", "eval-style": "same" }],
      };
      await Deno.writeTextFile(file, JSON.stringify(contents));
      const { stdout } = await succeed("matrix", [file, place]);
      assertMatch(stdout, /sampling +\d\.\d+ \[.+\] +\d\.\d+ \[/);
      const evaluated = join(
        place.replace("--log-dir=", ""),
        "evaluate/sampling/facts/untrained-seed137/quiz-oe",
      );
      const { stages } = JSON.parse(await Deno.readTextFile(join(evaluated, "run.json")));
      const [{ inputs }] = Object.values(stages) as { inputs: Record<string, unknown> }[];
      assertEquals((inputs.labeler as { name: string }).name, "local");
      assertEquals(inputs.labelerOptions, { threshold: 0.4, undecided: 0 });
    }),
);
