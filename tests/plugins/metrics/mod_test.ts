import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { type Scored, tally } from "@credence/credence";
import { defaultMetrics, metrics } from "../../../plugins/metrics/mod.ts";

interface Case {
  readonly name: string;
  readonly pCorrect: readonly number[];
  readonly label: string;
  readonly expected: Readonly<Record<string, number | null>>;
}

/** Recorded from public libraries; which one stands for which metric is written in `record_metrics.py`. */
const cases: readonly Case[] = JSON.parse(
  await Deno.readTextFile(new URL("../../golden/metrics/expected.json", import.meta.url)),
);

const rowsOf = ({ pCorrect, label }: Case): Scored[] =>
  pCorrect.map((pCorrect, index) => ({ label: Number(label[index]) as 0 | 1, pCorrect }));

/** Those for which no library has a value where confidences are tied, though they have one. */
const ONLY_WITHOUT_TIES = /^(aurc|e-aurc|prr|accuracy-at-coverage-\d+)$/;

for (const metric of metrics) {
  Deno.test(`${metric.name} agrees with the library that defines it to 1e-9`, () => {
    let compared = 0;
    for (const recorded of cases) {
      const { name, pCorrect, expected } = recorded;
      assert(metric.name in expected, `${name} has no ${metric.name}`);
      const answers = tally(rowsOf(recorded)), value = expected[metric.name];
      if (value !== null) {
        assertAlmostEquals(
          metric.compute(answers, metric.defaults),
          value,
          1e-9,
          `${metric.name} of ${name}`,
        );
        compared++;
      } else if (!ONLY_WITHOUT_TIES.test(metric.name) || new Set(pCorrect).size === pCorrect.length) {
        assertThrows(
          () => metric.compute(answers, metric.defaults),
          RangeError,
          "",
          `${metric.name} of ${name}`,
        );
      }
    }
    assert(compared >= 5, `only ${compared} cases were compared`);
  });
}

Deno.test("The recorded cases hold random, tied, extreme, tiny and one-class confidences", () => {
  const has = (sound: (rows: Case) => boolean) => assert(cases.some(sound));
  has(({ pCorrect }) => pCorrect.length > 1000);
  has(({ pCorrect }) => new Set(pCorrect).size < pCorrect.length / 10);
  has(({ pCorrect }) => pCorrect.every((p) => p === 1));
  has(({ pCorrect }) => pCorrect.includes(0) && pCorrect.includes(1));
  has(({ pCorrect }) => pCorrect.length === 1);
  has(({ label }) => !label.includes("0"));
  has(({ label }) => !label.includes("1"));
});

Deno.test("Every metric says which confidence it uses, or that it is about the answers", () => {
  const answersOnly = ["accuracy"];
  for (const { name, description } of metrics) {
    if (answersOnly.includes(name)) continue;
    assert(/P\(correct\)|maximum probability|ece-mass-l2/.test(description), `${name}: ${description}`);
  }
});

Deno.test("The metrics computed by default are there, each once", () => {
  const names = metrics.map(({ name }) => name);
  assertEquals(defaultMetrics.filter((name) => !names.includes(name)), []);
  assertEquals(new Set(names).size, names.length);
});
