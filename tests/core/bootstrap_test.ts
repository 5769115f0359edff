import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  type Estimate,
  estimate,
  groupCount,
  interval,
  replicate,
  type Undefined,
} from "../../core/bootstrap.ts";
import { UserError } from "../../core/errors.ts";
import { createRng } from "../../core/rng.ts";
import type { Metric, Scored, Tally } from "../../core/types.ts";

function metric(name: string, compute: (tally: Tally) => number): Metric {
  return { kind: "metric", name, version: 1, description: name, better: "higher", defaults: {}, compute };
}

const share = metric("share", ({ n, nCorrect }) => nCorrect / n);

/** Pairs of which the first `correct` are correct. */
const pairs = (count: number, correct: number): Scored[] =>
  Array.from({ length: count }, (_, index) => ({ label: index < correct ? 1 : 0, pCorrect: 0.5 }));

function valueOf(result: Estimate | Undefined | undefined): Estimate {
  assert(result !== undefined && "value" in result);
  return result;
}

Deno.test("estimate() gives a metric's value on all rows", () => {
  assertEquals(valueOf(estimate(pairs(10, 3), [share], createRng(1)).get("share")).value, 0.3);
});

Deno.test("estimate() gives an interval as wide as the normal approximation has it", () => {
  const { low, high } = valueOf(estimate(pairs(400, 100), [share], createRng(1), 4000).get("share"));
  const half = 1.96 * Math.sqrt(0.25 * 0.75 / 400);
  // With 4000 resamples the ends have a standard deviation of 0.02 half widths, and shares are 0.06 of one apart.
  assertAlmostEquals(low!, 0.25 - half, 0.1 * half);
  assertAlmostEquals(high!, 0.25 + half, 0.1 * half);
});

Deno.test("estimate() covers the true value in about 95 of 100 samples", () => {
  const rng = createRng(2);
  let covered = 0;
  for (let sample = 0; sample < 200; sample++) {
    const drawn = Array.from({ length: 100 }, (): Scored => ({
      label: rng.random() < 0.4 ? 1 : 0,
      pCorrect: 0.5,
    }));
    const { low, high } = valueOf(estimate(drawn, [share], rng, 200).get("share"));
    if (low! <= 0.4 && 0.4 <= high!) covered++;
  }
  // 190 expected; five standard deviations of a binomial, as intervals over a few values are a little narrow.
  assert(covered >= 175 && covered <= 200, `${covered} of 200 intervals hold the true value`);
});

Deno.test("estimate() gives the same for the same seed, and another interval for another", () => {
  const mean = metric(
    "mean",
    ({ pCorrect, wrong, n }) => pCorrect.reduce((sum, p, i) => sum + p * wrong[i], 0) / n,
  );
  const rows = Array.from({ length: 50 }, (_, index): Scored => ({ label: 0, pCorrect: index ** 2 / 2500 }));
  const interval = (seed: number) => valueOf(estimate(rows, [mean], createRng(seed)).get("mean"));
  assertEquals(interval(1), interval(1));
  assertNotEquals(interval(1), interval(2));
});

Deno.test("estimate() computes all metrics on the same resamples", () => {
  const seen: Tally[][] = [[], []];
  const spies = seen.map((list, index) =>
    metric(`spy ${index}`, (tally) => {
      list.push(tally);
      return 0;
    })
  );
  const rows = Array.from({ length: 5 }, (_, index): Scored => ({ label: 0, pCorrect: index / 5 }));
  estimate(rows, spies, createRng(1), 20);
  assertEquals(seen[0].map(({ n }) => n), new Array(21).fill(5));
  assertEquals(seen[0], seen[1]);
});

Deno.test("estimate() keeps the metrics' order", () => {
  const names = ["z", "a", "m"];
  const metrics = names.map((name) => ({ ...share, name }));
  assertEquals([...estimate(pairs(4, 2), metrics, createRng(1), 10).keys()], names);
});

Deno.test("estimate() passes on why a metric is undefined, and computes the others", () => {
  const broken = metric("broken", () => {
    throw new RangeError("all answers are correct");
  });
  const results = estimate(pairs(4, 4), [broken, share], createRng(1), 10);
  assertEquals(results.get("broken"), { undefined: "all answers are correct" });
  assertEquals(valueOf(results.get("share")), { value: 1, low: 1, high: 1 });
});

/** A metric that is defined on the rows themselves, but not on the first resamples. */
function undefinedOnFirst(resamples: number): Metric {
  let calls = 0;
  return metric("sometimes", () => {
    const resample = calls++;
    if (resample > 0 && resample <= resamples) throw new RangeError("undefined here");
    return 1;
  });
}

Deno.test("estimate() gives an interval where 5 of 100 resamples are undefined", () => {
  const results = estimate(pairs(4, 2), [undefinedOnFirst(5)], createRng(1), 100);
  assertEquals(results.get("sometimes"), { value: 1, low: 1, high: 1 });
});

Deno.test("estimate() gives no interval where 6 of 100 resamples are undefined", () => {
  const results = estimate(pairs(4, 2), [undefinedOnFirst(6)], createRng(1), 100);
  assertEquals(results.get("sometimes"), { value: 1, low: null, high: null });
});

Deno.test("estimate() gives no interval without resamples", () => {
  assertEquals(estimate(pairs(4, 2), [share], createRng(1), 0).get("share"), {
    value: 0.5,
    low: null,
    high: null,
  });
});

Deno.test("estimate() leaves the rows as they were", () => {
  const rows = pairs(6, 2);
  estimate(rows, [share], createRng(1), 10);
  assertEquals(rows, pairs(6, 2));
});

for (const value of [NaN, Infinity]) {
  Deno.test(`estimate() refuses a metric that gives ${value}, naming it`, () => {
    const broken = metric("acme/broken", () => value);
    const { kind, what } = assertThrows(() => estimate(pairs(4, 2), [broken], createRng(1)), UserError);
    assertEquals([kind, what], ["plugin", `Metric "acme/broken" gave ${value}`]);
  });
}

Deno.test("estimate() computes a metric with its default options", () => {
  const withOptions: Metric<{ readonly add: number }> = {
    ...share,
    defaults: { add: 3 },
    compute: (_, { add }) => add,
  };
  const results = estimate(pairs(2, 1), [withOptions as Metric], createRng(1), 10);
  assertEquals(valueOf(results.get("share")).value, 3);
});

Deno.test("estimate() draws a row twice, or not at all", () => {
  const counts = new Set<number>();
  const spy = metric("spy", ({ pCorrect, correct, wrong, n }) => {
    pCorrect.forEach((_, index) => counts.add(correct[index] + wrong[index]));
    counts.add(pCorrect.length === 20 ? -1 : 0);
    assertEquals(n, 20);
    return 0;
  });
  const rows = Array.from({ length: 20 }, (_, index): Scored => ({ label: 0, pCorrect: index / 20 }));
  estimate(rows, [spy], createRng(1), 50);
  assert([0, 1, 2, 3].every((count) => counts.has(count)), `${[...counts]}`);
});

/** Rows of groups in which all answers are equal: only the groups vary. */
const grouped = (groups: number, size: number): Scored[] =>
  Array.from({ length: groups * size }, (_, index) => {
    const group = Math.floor(index / size);
    return { label: group % 2 as 0 | 1, pCorrect: 0.5, group: `g${group}` };
  });

Deno.test("estimate() draws whole groups: rows that repeat each other make no interval narrower", () => {
  const width = (rows: readonly Scored[]) => {
    const { low, high } = valueOf(estimate(rows, [share], createRng(1), 2000).get("share"));
    return high! - low!;
  };
  const apart = grouped(40, 25).map(({ label, pCorrect }): Scored => ({ label, pCorrect }));
  assertAlmostEquals(width(grouped(40, 25)), width(grouped(40, 1)), 0.02);
  // Five times narrower, as there seem to be 25 times as many.
  assertAlmostEquals(width(apart), width(grouped(40, 25)) / 5, 0.02);
});

Deno.test("estimate() draws rows without a group by themselves, beside groups", () => {
  const rows: Scored[] = [...grouped(2, 3), { label: 1, pCorrect: 0.5 }];
  const sizes = new Set<number>();
  estimate(rows, [metric("size", ({ n }) => sizes.add(n).size)], createRng(1), 200);
  // Three units of 3, 3 and 1 rows: as they are, then any three.
  assertEquals([...sizes].toSorted((a, b) => a - b), [3, 5, 7, 9]);
});

Deno.test("estimate() draws rows where all are in one group", () => {
  const rows = pairs(100, 30).map((row) => ({ ...row, group: "anatomy" }));
  const { low, high } = valueOf(estimate(rows, [share], createRng(1)).get("share"));
  assert(low! < 0.25 && high! > 0.35, `${low} to ${high}`);
});

Deno.test("groupCount() is the number of what is drawn as wholes, or 0", () => {
  assertEquals([grouped(3, 2), grouped(1, 2), pairs(4, 2), []].map(groupCount), [3, 0, 0, 0]);
});

Deno.test("replicate() draws the same rows for every run", () => {
  const first = Array.from(
    { length: 30 },
    (_, index): Scored => ({ label: index % 2 as 0 | 1, pCorrect: 0.5 }),
  );
  const [one, two] = replicate(
    [first, first.map((row) => ({ ...row, pCorrect: 0.9 }))],
    [share],
    createRng(1),
    50,
  );
  assertEquals(one.get("share"), two.get("share"));
  const samples = one.get("share")!;
  assert("samples" in samples && new Set(samples.samples).size > 5);
});

/** 0 … 1000 in another order, over a number. */
const values = (over = 1) => Float64Array.from({ length: 1001 }, (_, index) => (index * 2 % 1001) / over);

Deno.test("interval() is the middle 95 % of the values", () => {
  assertEquals(interval(500, values()), { low: 25, high: 975 });
});

Deno.test("interval() takes off the distance of the median from the value, so that the value is inside", () => {
  assertEquals(interval(400, values()), { low: -75, high: 875 });
});

Deno.test("interval() stays in [0, 1] where all values do", () => {
  const { low, high } = interval(0.1, values(1000));
  assertEquals(low, 0);
  assertAlmostEquals(high!, 0.575, 1e-12);
  assertEquals(interval(0.9, values(1000)).high, 1);
});

Deno.test("interval() leaves out what is undefined, unless that is more than a twentieth", () => {
  assertEquals(interval(2, Float64Array.of(NaN, ...new Array(19).fill(2))), { low: 2, high: 2 });
  assertEquals(interval(2, Float64Array.of(NaN, NaN, ...new Array(18).fill(2))), { low: null, high: null });
});

Deno.test("estimate() gives the calibration error of calibrated answers an interval around it", () => {
  const rng = createRng(3);
  const rows = Array.from({ length: 2000 }, (): Scored => {
    const pCorrect = rng.random();
    return { label: rng.random() < pCorrect ? 1 : 0, pCorrect };
  });
  // Sum of the sizes of the gaps in fifty bins: on every resample larger than on the rows.
  const gaps = metric("gaps", ({ pCorrect, correct, wrong, n }) => {
    const bins = new Float64Array(50);
    pCorrect.forEach((p, i) => bins[Math.floor(p * 50)] += correct[i] * (1 - p) - wrong[i] * p);
    return bins.reduce((sum, gap) => sum + Math.abs(gap), 0) / n;
  });
  const { value, low, high } = valueOf(estimate(rows, [gaps], createRng(1), 500).get("gaps"));
  assert(low! < value && value < high!, `${value} is not in ${low} to ${high}`);
});
