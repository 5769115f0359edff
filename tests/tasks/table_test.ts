import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Evaluation } from "../../tasks/_evaluation.ts";
import { beforeAfterTable, metricsTable } from "../../tasks/_metrics_table.ts";
import { cell, table, wideTable } from "../../tasks/_table.ts";

const EVALUATION: Evaluation = {
  dataset: "facts",
  split: "test",
  folder: "runs/x/metrics/facts/test",
  n: 100,
  undecided: 3,
  unscored: 0,
  correct: 60,
  groups: 0,
  metrics: { ece: { value: 0.123, low: 0.1, high: 0.15 }, auroc: { undefined: "all answers are wrong" } },
};

Deno.test("table() pads the first column to the left and the others to the right", () => {
  assertEquals(
    table(["", "n"], [["one", "1"], ["three", "100"]]),
    "         n\n─────  ───\none      1\nthree  100",
  );
});

Deno.test("table() counts characters, not their code units", () => {
  assertEquals(table(["a", "b"], [["𝛼𝛽", "1"]]).split("\n")[1], "──  ─");
});

Deno.test("cell() shows a value with its interval", () => {
  assertEquals(cell({ value: 0.12345, low: 0.1, high: 0.15 }), "0.123 [0.100, 0.150]");
});

Deno.test("cell() shows a value without an interval alone", () => {
  assertEquals(cell({ value: 1, low: null, high: null }), "1.000");
});

Deno.test("cell() shows a dash for what is undefined", () => {
  assertEquals(cell({ undefined: "one class only" }), "–");
});

/** Cells of each line. */
const cells = (text: string) => text.split("\n").map((line) => line.trim().split(/ {2,}/));

const result = (...evaluations: Evaluation[]) => ({ logDir: "runs/x", evaluations, skipped: [] });

Deno.test("metricsTable() of one dataset has a row for each count and metric", () => {
  const [head, , ...rows] = cells(metricsTable(result(EVALUATION), { ece: "lower", auroc: "higher" }));
  assertEquals(head, ["facts test"]);
  assertEquals(rows.slice(0, 5), [
    ["N", "100"],
    ["undecided", "3"],
    ["unscored", "0"],
    ["ece ↓", "0.123 [0.100, 0.150]"],
    ["auroc ↑", "–"],
  ]);
});

Deno.test("metricsTable() says why a metric is undefined", () => {
  assertStringIncludes(metricsTable(result(EVALUATION)), "facts: no auroc: all answers are wrong");
});

Deno.test("metricsTable() says that answers have no confidence, and how many", () => {
  const text = metricsTable(result({ ...EVALUATION, unscored: 7 }));
  assertStringIncludes(text, "facts: 7 of 107 decided answers have no confidence; no metric counts them");
  assertEquals(metricsTable(result(EVALUATION)).includes("no confidence"), false);
});

Deno.test("metricsTable() says what the intervals are over", () => {
  assertStringIncludes(metricsTable(result(EVALUATION)), "by bootstrap over questions;");
  assertStringIncludes(
    metricsTable(result({ ...EVALUATION, groups: 8 })),
    "by bootstrap over 8 groups of questions;",
  );
});

Deno.test("metricsTable() of a collection ends with both means and their intervals", () => {
  const means = {
    unweighted: { ece: { value: 0.2, low: 0.1, high: 0.3 }, auroc: null },
    weighted: { ece: { value: 0.3, low: null, high: null }, auroc: null },
  };
  const text = metricsTable({
    ...result(EVALUATION, { ...EVALUATION, dataset: "mmlu:anatomy", n: 50 }),
    means,
  });
  assertEquals(cells(text).slice(4, 6), [
    ["mean over datasets", "150", "6", "0", "0.200 [0.100, 0.300]", "–"],
    ["mean over questions", "150", "6", "0", "0.300", "–"],
  ]);
});

Deno.test("metricsTable() stays within 110 columns, however many metrics there are", () => {
  const metrics = Object.fromEntries(
    Array.from({ length: 29 }, (_, index) => [`metric-number-${index}`, { value: 0.5, low: 0.4, high: 0.6 }]),
  );
  const many = { ...EVALUATION, metrics },
    long = { ...many, dataset: "mmlu:high_school_government_and_politics" };
  for (const evaluations of [[many], [many, long]]) {
    const text = metricsTable(result(...evaluations));
    assertEquals(text.split("\n").filter((line) => line.length > 110), []);
    for (const name of Object.keys(metrics)) assertStringIncludes(text, name);
  }
});

Deno.test("wideTable() is one table where it fits, and repeats the first column where it does not", () => {
  const header = ["name", ..."abc"], wide = "x".repeat(50);
  assertEquals(wideTable(header, [["r", "1", "2", "3"]]), table(header, [["r", "1", "2", "3"]]));
  const blocks = wideTable(header, [["r", wide, wide, wide]]).split("\n\n").map(cells);
  assertEquals(blocks.map(([head]) => head), [["name", "a", "b"], ["name", "c"]]);
  assertEquals(blocks.map((rows) => rows.at(-1)![0]), ["r", "r"]);
});

Deno.test("beforeAfterTable() puts two evaluations side by side", () => {
  const after = {
    ...EVALUATION,
    metrics: { ...EVALUATION.metrics, ece: { value: 0.05, low: 0.04, high: 0.06 } },
  };
  const rows = beforeAfterTable(EVALUATION, after).split("\n").map((line) => line.trim().split(/ {2,}/));
  assertEquals(rows.toSpliced(1, 1), [
    ["before", "after"],
    ["N", "100", "100"],
    ["ece", "0.123 [0.100, 0.150]", "0.050 [0.040, 0.060]"],
    ["auroc", "–", "–"],
  ]);
});
