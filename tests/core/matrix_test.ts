import { assertEquals } from "@std/assert";
import { expandMatrix, type MatrixAxes, type MatrixCell } from "../../core/mod.ts";

const AXES: MatrixAxes = {
  "method": ["trained"],
  "model": ["a"],
  "dataset": ["facts"],
  "eval-dataset": ["same"],
  "train-style": ["oe"],
  "eval-style": ["same"],
  "train-answers": ["same"],
  "eval-answers": ["same"],
  "fraction": [1],
  "seed": [137],
};

const expand = (axes: Partial<MatrixAxes>) =>
  expandMatrix({ ...AXES, ...axes }, (method) => method === "trained");

/** What a cell is about, in short: trained on → judged. */
const short = ({ model, training, evaluation }: MatrixCell) =>
  `${model}: ${
    training ? `${training.answers} ${training.dataset} ${training.style} ${training.fraction}` : "–"
  } → ` +
  `${evaluation.answers} ${evaluation.dataset} ${evaluation.style}`;

Deno.test("expandMatrix() gives the one cell of axes with one value each", () => {
  assertEquals(expand({}), [{
    method: "trained",
    model: "a",
    seed: 137,
    training: { answers: "a", dataset: "facts", style: "oe", fraction: 1 },
    evaluation: { answers: "a", dataset: "facts", style: "oe" },
  }]);
});

Deno.test("expandMatrix() evaluates in the style that was trained on where that is asked for", () => {
  assertEquals(expand({ "train-style": ["oe", "choice"] }).map(short), [
    "a: a facts oe 1 → a facts oe",
    "a: a facts choice 1 → a facts choice",
  ]);
});

Deno.test("expandMatrix() trains in the style that is evaluated where that is asked for", () => {
  assertEquals(expand({ "train-style": ["same"], "eval-style": ["oe", "choice"] }).map(short), [
    "a: a facts oe 1 → a facts oe",
    "a: a facts choice 1 → a facts choice",
  ]);
});

Deno.test("expandMatrix() crosses styles that are named on both sides", () => {
  const cells = expand({ "train-style": ["oe", "choice"], "eval-style": ["oe", "choice"] });
  assertEquals(cells.length, 4);
});

Deno.test("expandMatrix() lets each model judge its own answers and another's, and learn from either", () => {
  const answers = ["a", "b"];
  const cells = expand({ "model": answers, "train-answers": answers, "eval-answers": answers }).map(short);
  assertEquals(cells.length, 8);
  assertEquals(cells.includes("a: a facts oe 1 → b facts oe"), true, "the research code's cross");
  assertEquals(cells.includes("a: b facts oe 1 → a facts oe"), true, "the research code's cross_train");
});

Deno.test("expandMatrix() names a model's own answers once, however often they are asked for", () => {
  assertEquals(expand({ "eval-answers": ["same", "a"] }).length, 1);
});

Deno.test("expandMatrix() evaluates an untrained method once, whatever others are trained on", () => {
  const cells = expand({
    "method": ["untrained", "trained"],
    "train-style": ["oe", "choice"],
    "eval-style": ["oe"],
    "fraction": [0.1, 1],
  });
  assertEquals(cells.filter(({ method }) => method === "untrained").map(short), ["a: – → a facts oe"]);
  assertEquals(cells.filter(({ method }) => method === "trained").length, 4);
});

Deno.test("expandMatrix() trains on one dataset and evaluates on others where they are named", () => {
  assertEquals(expand({ "eval-dataset": ["arc", "same"] }).map(short), [
    "a: a facts oe 1 → a arc oe",
    "a: a facts oe 1 → a facts oe",
  ]);
});

Deno.test("expandMatrix() repeats every cell for every seed", () => {
  assertEquals(expand({ seed: [1, 2, 3] }).map(({ seed }) => seed), [1, 2, 3]);
});
