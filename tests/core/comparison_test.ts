import { assert, assertAlmostEquals, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  aurocDifference,
  brier,
  builtins,
  compareRuns,
  createRng,
  type Difference,
  holm,
  type Label,
  matchPredictions,
  type Metric,
  type PredictionRow,
  type Rng,
  type Scored,
  type Undefined,
  UserError,
} from "@credence/credence";
import { normalTails } from "../../core/delong.ts";
import recorded from "../golden/metrics/comparison.json" with { type: "json" };

const metricNamed = (name: string) =>
  builtins.find((plugin): plugin is Metric => plugin.kind === "metric" && plugin.name === name)!;
const auroc = metricNamed("auroc"), accuracy = metricNamed("accuracy");

const scored = (labels: readonly number[], pCorrect: readonly number[]): Scored[] =>
  labels.map((label, row) => ({ label: label as 0 | 1, pCorrect: pCorrect[row] }));

function tested(result: Difference | Undefined): Difference {
  assert("value" in result, JSON.stringify(result));
  return result;
}

for (const { name, y, first, second, z, p } of recorded.delong) {
  Deno.test(`aurocDifference() is as far from 0 as MLstatkit's DeLong test has it: ${name}`, () => {
    const { value, standardError } = aurocDifference(scored(y, first), scored(y, second));
    assertAlmostEquals(Math.abs(value / standardError), z, 1e-9 * z);
    assertAlmostEquals(normalTails(value / standardError), p, 1e-12);
  });
}

for (const { p, adjusted } of recorded.holm) {
  Deno.test(`holm() of ${p.length} probabilities is that of statsmodels`, () => {
    holm(p).forEach((value, index) => assertAlmostEquals(value, adjusted[index], 1e-12));
  });
}

Deno.test("holm() of nothing is nothing", () => assertEquals(holm([]), []));

/** Nearly normal, mean 0 and deviation 1: the sum of twelve uniform variables. */
const normal = (rng: Rng) => Array.from({ length: 12 }, () => rng.random()).reduce((sum, x) => sum + x, -6);

/** Answers in groups whose members are right together, with confidences that share the group's luck. */
function drawGroups(rng: Rng, groups: number, size: number): [first: Scored[], second: Scored[]] {
  const first: Scored[] = [], second: Scored[] = [];
  for (let group = 0; group < groups; group++) {
    const luck = normal(rng), rate = 1 / (1 + Math.exp(-normal(rng)));
    for (let member = 0; member < size; member++) {
      const label = rng.random() < rate ? 1 : 0;
      const confidence = (luck: number) => 1 / (1 + Math.exp(0.5 - label - luck - normal(rng)));
      first.push({ label, group: String(group), pCorrect: confidence(luck) });
      second.push({ label, group: String(group), pCorrect: confidence(-luck) });
    }
  }
  return [first, second];
}

Deno.test("aurocDifference() of answers that each stand three times in their group is that of each once", () => {
  const [first, second] = drawGroups(createRng(1), 40, 1);
  const once = aurocDifference(first, second);
  const thrice = aurocDifference(
    first.flatMap((row) => [row, row, row]),
    second.flatMap((row) => [row, row, row]),
  );
  assertAlmostEquals(thrice.value, once.value, 1e-12);
  assertAlmostEquals(thrice.standardError, once.standardError, 1e-12);
});

Deno.test("the interval of the difference of two AUROCs holds the true one about 95 times in 100, also of groups", () => {
  const rng = createRng(2), runs = 400;
  let held = 0, heldWithoutGroups = 0;
  for (let run = 0; run < runs; run++) {
    const [first, second] = drawGroups(rng, 60, 5);
    const { value, standardError } = aurocDifference(first, second);
    const alone = (rows: Scored[]) => rows.map(({ label, pCorrect }) => ({ label, pCorrect }));
    // Both confidences are drawn alike, so there is no difference.
    held += Number(Math.abs(value) < 1.96 * standardError);
    const without = aurocDifference(alone(first), alone(second));
    heldWithoutGroups += Number(Math.abs(without.value) < 1.96 * without.standardError);
  }
  assert(held >= 0.92 * runs && held <= 0.98 * runs, `${held} of ${runs}`);
  // The groups are what makes the difference; were they left out, the interval would be too narrow.
  assert(heldWithoutGroups < held - 0.05 * runs, `${heldWithoutGroups} of ${runs} without groups`);
});

Deno.test("the bootstrap finds a difference where there is none about 5 times in 100", () => {
  const rng = createRng(3), runs = 200;
  let found = 0;
  for (let run = 0; run < runs; run++) {
    const [first, second] = drawGroups(rng, 100, 1);
    const matched = { name: "made up", first, second, leftOut: 0 };
    const { overall } = compareRuns([matched], [brier], rng, 200);
    found += Number(tested(overall.brier).p! < 0.05);
  }
  assert(found >= 2 && found <= 22, `${found} of ${runs}`);
});

const matchedOf = (name: string, seed: number, groups = 50) => {
  const [first, second] = drawGroups(createRng(seed), groups, 2);
  return { name, first, second, leftOut: 0 };
};

Deno.test("compareRuns() leaves the sign of a difference when the runs change places", () => {
  const matched = matchedOf("a", 4);
  const swapped = { ...matched, first: matched.second, second: matched.first };
  const there = compareRuns([matched], [auroc, brier], createRng(1)).overall;
  const back = compareRuns([swapped], [auroc, brier], createRng(1)).overall;
  for (const name of ["auroc", "brier"]) {
    assertAlmostEquals(tested(there[name]).value, -tested(back[name]).value, 1e-12);
    assertAlmostEquals(tested(there[name]).low!, -tested(back[name]).high!, 1e-12);
    assertAlmostEquals(tested(there[name]).p!, tested(back[name]).p!, 1e-12);
  }
});

Deno.test("compareRuns() of several datasets gives each, and means in which they count the same or by their answers", () => {
  const datasets = [matchedOf("small", 5, 20), matchedOf("large", 6, 80)];
  const { overall, weighted, datasets: each } = compareRuns(datasets, [auroc, brier], createRng(1));
  for (const name of ["auroc", "brier"]) {
    const [small, large] = each.map(({ differences }) => tested(differences[name]).value);
    assertAlmostEquals(tested(overall[name]).value, (small + large) / 2, 1e-12);
    assertAlmostEquals(tested(weighted![name]).value, (20 * small + 80 * large) / 100, 1e-12);
  }
  const [a, b] = datasets.map(({ first, second }) => aurocDifference(first, second).standardError);
  const { low, high } = tested(overall.auroc);
  assertAlmostEquals(high! - low!, 2 * 1.959963984540054 * Math.sqrt(a ** 2 + b ** 2) / 2, 1e-12);
});

Deno.test("compareRuns() corrects the tests of a table together", () => {
  const { overall } = compareRuns([matchedOf("a", 7)], [accuracy, auroc, brier], createRng(1));
  const ps = [tested(overall.auroc), tested(overall.brier)];
  assertEquals(ps.map(({ pHolm }) => pHolm), holm(ps.map(({ p }) => p!)));
});

Deno.test("compareRuns() tests nothing where both runs have the same value whatever is drawn", () => {
  const matched = matchedOf("a", 8);
  const { accuracy: same } = compareRuns([matched], [accuracy], createRng(1)).overall;
  assertEquals({ ...tested(same), first: 0, second: 0 }, {
    first: 0,
    second: 0,
    value: 0,
    low: 0,
    high: 0,
    p: null,
    pHolm: null,
  });
  const itself = compareRuns([{ ...matched, second: matched.first }], [auroc], createRng(1)).overall;
  assertEquals([tested(itself.auroc).value, tested(itself.auroc).p], [0, null]);
});

Deno.test("compareRuns() says why a metric has no value, and leaves that dataset out of the mean", () => {
  const right = matchedOf("a", 9).first.map((row) => ({ ...row, label: 1 as const }));
  const allCorrect = { name: "easy", first: right, second: right, leftOut: 0 };
  const alone = compareRuns([allCorrect], [auroc], createRng(1)).overall.auroc;
  assertStringIncludes("undefined" in alone ? alone.undefined : "", "all 100 answers are correct");
  const other = matchedOf("b", 10);
  const both = compareRuns([allCorrect, other], [auroc], createRng(1)).overall.auroc;
  assertAlmostEquals(tested(both).value, aurocDifference(other.first, other.second).value, 1e-12);
});

const row = (id: string, label: Label, pCorrect: number | null, output = "teak"): PredictionRow => ({
  id,
  label,
  pCorrect,
  logits: null,
  context: "Which tree?",
  target: "teak",
  output,
});

Deno.test("matchPredictions() pairs answers by id, whatever their order, and counts those it leaves out", () => {
  const first = [
    row("a", 1, 0.9),
    row("b", 0, 0.2),
    row("c", null, 0.5),
    row("d", 1, null),
    row("e", 1, 0.5),
  ];
  const second = [
    row("d", 1, 0.5),
    row("b", 0, 0.3),
    row("a", 1, 0.8),
    row("c", null, 0.5),
    row("f", 1, 0.5),
  ];
  assertEquals(matchPredictions("made up", first, second), {
    name: "made up",
    first: [{ label: 1, pCorrect: 0.9 }, { label: 0, pCorrect: 0.2 }],
    second: [{ label: 1, pCorrect: 0.8 }, { label: 0, pCorrect: 0.3 }],
    leftOut: 4,
  });
});

for (
  const { second, what, about } of [
    {
      second: [row("a", 1, 0.8, "oak")],
      what: 'different answers to 1 of 1 questions: "teak"',
      about: "answers",
    },
    { second: [row("a", 0, 0.8)], what: "(label 1)", about: "labels" },
    { second: [row("z", 1, 0.8)], what: "no question in common", about: "questions" },
    { second: [row("a", 1, null)], what: "none has a label and a confidence", about: "confidences" },
  ]
) {
  Deno.test(`matchPredictions() refuses runs that have no ${about} in common`, () => {
    const error = assertThrows(() => matchPredictions("made up", [row("a", 1, 0.9)], second), UserError);
    assertStringIncludes(error.what, what);
  });
}
