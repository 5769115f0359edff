import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Evaluation } from "../../tasks/evaluate.ts";
import { beforeAfterTable, cell, metricsTable, table } from "../../tasks/_table.ts";

const EVALUATION: Evaluation = {
  dataset: "facts",
  split: "test",
  folder: "runs/x/metrics/facts/test",
  n: 100,
  undecided: 3,
  unscored: 0,
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

Deno.test("metricsTable() shows count, metrics and undecided rows of a dataset", () => {
  const [, , row] = metricsTable({ logDir: "runs/x", evaluations: [EVALUATION], skipped: [] }).split("\n");
  assertEquals(row.trim().split(/ {2,}/), ["facts test", "100", "0.123 [0.100, 0.150]", "–", "3"]);
});

Deno.test("metricsTable() says why a metric is undefined", () => {
  const text = metricsTable({ logDir: "runs/x", evaluations: [EVALUATION], skipped: [] });
  assertStringIncludes(text, "facts: no auroc: all answers are wrong");
});

Deno.test("metricsTable() ends with both means of a collection", () => {
  const means = { unweighted: { ece: 0.2, auroc: null }, weighted: { ece: 0.3, auroc: null } };
  const evaluations = [EVALUATION, { ...EVALUATION, dataset: "mmlu:anatomy", n: 50 }];
  const lines = metricsTable({ logDir: "runs/x", evaluations, means, skipped: [] }).split("\n");
  assertEquals(lines.slice(4, 6).map((line) => line.trim().split(/ {2,}/)), [
    ["mean over datasets", "150", "0.200", "–"],
    ["mean over questions", "150", "0.300", "–"],
  ]);
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
