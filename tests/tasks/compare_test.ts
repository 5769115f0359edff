import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { type PredictionRow, writePredictions } from "@credence/credence";
import { run, succeed, withFolder } from "./_cli.ts";

/** A run whose confidence in right answers is `certainty`, in wrong ones the rest, here and there. */
async function writeRun(
  folder: string,
  certainty: number,
  datasets: readonly string[] = ["made"],
  change: (row: PredictionRow) => PredictionRow = (row) => row,
): Promise<string> {
  for (const dataset of datasets) {
    const place = join(folder, "metrics", dataset, "test");
    await Deno.mkdir(place, { recursive: true });
    const rows = Array.from({ length: 60 }, (_, index): PredictionRow => {
      const label = index % 3 === 0 ? 0 : 1, surprise = index % 7 === 0;
      return {
        id: `${dataset}-${index}`,
        label,
        pCorrect: (label === 1) === !surprise ? certainty : 1 - certainty + index / 1000,
        logits: null,
        context: "Which tree?",
        target: "teak",
        output: label === 1 ? "teak" : "oak",
      };
    });
    await writePredictions(join(place, "predictions.csv"), rows.map(change));
    const about = { dataset, split: "test", model: "facts", adapter: null, temperature: 1, mode: "query" };
    await Deno.writeTextFile(
      join(place, "metrics.json"),
      JSON.stringify({ ...about, promptStyle: "oe", n: 60, undecided: 0, metrics: {} }),
    );
  }
  return folder;
}

Deno.test("compare says how far runs are from the first, metric by metric, and gives it as JSON", async () => {
  await withFolder(async (folder) => {
    const first = await writeRun(join(folder, "first"), 0.55);
    const others = [await writeRun(join(folder, "b"), 0.9), await writeRun(join(folder, "c"), 0.7)];
    const { stdout } = await succeed("compare", [
      first,
      ...others,
      "--metric=brier",
      "--metric=auroc",
      "--json",
    ]);
    assertStringIncludes(stdout, `${others[0]} beside ${first}: 60 questions`);
    assertStringIncludes(stdout, "brier ↓");
    const { comparisons } = JSON.parse(stdout.trim().split("\n").at(-1)!);
    assertEquals(comparisons.map(({ run }: { run: string }) => run), others);
    const { first: one, second, value, p } = comparisons[0].overall.brier;
    assertEquals(Math.abs(second - one - value) < 1e-12 && value < 0 && p < 0.05, true);
  });
});

Deno.test("compare gives a table of the datasets that both runs have, and says which are left out", async () => {
  await withFolder(async (folder) => {
    const first = await writeRun(join(folder, "first"), 0.55, ["law", "art", "physics"]);
    const second = await writeRun(join(folder, "second"), 0.9, ["law", "art"]);
    const { stdout, stderr } = await succeed("compare", [first, second, "--metric=brier"]);
    assertStringIncludes(stdout, "120 questions of 2 datasets");
    for (const text of ["Mean over datasets", "Mean over questions", "law test", "art test"]) {
      assertStringIncludes(stdout, text);
    }
    assertEquals(stdout.includes("physics"), false);
    assertStringIncludes(stderr, "1 evaluations of");
  });
});

Deno.test("compare refuses runs that judge different answers, and one run alone", async () => {
  await withFolder(async (folder) => {
    const first = await writeRun(join(folder, "first"), 0.55);
    const other = await writeRun(join(folder, "other"), 0.9, ["made"], (row) => ({ ...row, output: "elm" }));
    const refused = await run("compare", [first, other]);
    assertEquals(refused.code, 4);
    assertStringIncludes(refused.stderr, "different answers to 60 of 60 questions");
    const alone = await run("compare", [first]);
    assertEquals(alone.code, 2);
    assertStringIncludes(alone.stderr, "two run folders");
    const nothing = await run("compare", [first, join(folder, "elsewhere")]);
    assertEquals(nothing.code, 4);
    assertStringIncludes(nothing.stderr, "There is no evaluation");
    await Deno.mkdir(join(folder, "labels"));
    const above = await run("compare", [first, folder]);
    assertStringIncludes(above.stderr, `name one in it: ${first}, ${other}\n`);
    const file = await run("compare", [join(first, "metrics", "made", "test", "metrics.json"), other]);
    assertEquals(file.code, 4);
    assertStringIncludes(file.stderr, "There is no evaluation");
  });
});
