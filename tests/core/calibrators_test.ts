import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  calibrated,
  type Calibrator,
  CALIBRATORS,
  type ChoiceScore,
  createRng,
  fitCalibrator,
  fitTemperature,
  probabilityOf,
  type ScoredRow,
} from "@credence/credence";
import { assertClose } from "../close.ts";

/** What scikit-learn, betacal and SciPy made of the same rows: tests/golden/record_calibrators.py. */
interface Recorded {
  readonly grid: number[];
  readonly cases: readonly {
    readonly name: string;
    readonly confidences: number[];
    readonly labels: (0 | 1)[];
    readonly temperature: number;
    readonly platt: number[];
    readonly isotonic: number[];
    readonly beta: number[];
    /** Of the grid alone. */
    readonly betacal: number[];
  }[];
}

const { grid, cases }: Recorded = JSON.parse(
  await Deno.readTextFile(new URL("../golden/calibrators/expected.json", import.meta.url)),
);

const rowsOf = ({ confidences, labels }: Recorded["cases"][number]) =>
  confidences.map((score, index): ScoredRow => ({ score, label: labels[index] }));

/** Where libraries stop: L-BFGS of scikit-learn at a gradient of 1e-6 or so, betacal's at 1e-4. */
const TOLERANCE = { platt: 1e-5, isotonic: 1e-9, beta: 1e-6, betacal: 1e-2 };

for (const recorded of cases) {
  const at = [...recorded.confidences, ...grid];
  for (const kind of ["platt", "isotonic", "beta"] as const) {
    Deno.test(`fitCalibrator("${kind}") fits what its library fits (${recorded.name})`, () => {
      const { calibrator } = fitCalibrator(kind, rowsOf(recorded));
      const tolerance = { absolute: TOLERANCE[kind], relative: 0 };
      assertClose(at.map((p) => calibrated(p, calibrator)!), recorded[kind], tolerance);
      if (kind === "beta") {
        const loose = { absolute: TOLERANCE.betacal, relative: 0 };
        assertClose(grid.map((p) => calibrated(p, calibrator)!), recorded.betacal, loose);
      }
    });
  }

  Deno.test(`fitCalibrator("temperature") finds SciPy's minimum (${recorded.name})`, () => {
    const { calibrator } = fitCalibrator("temperature", rowsOf(recorded));
    assert(calibrator.kind === "temperature");
    assertClose([calibrator.temperature], [recorded.temperature], { absolute: 0, relative: 1e-6 });
  });
}

/** Rows of log-odds and labels, in each form that a method may give. */
function forms(): Readonly<Record<string, readonly ScoredRow[]>> {
  const rng = createRng(3);
  const drawn = Array.from({ length: 200 }, () => {
    const z = 4 * rng.random() - 2;
    return { z, label: rng.random() < 1 / (1 + Math.exp(-2 * z)) ? 1 as const : 0 as const };
  });
  return {
    pair: drawn.map(({ z, label }) => ({ score: [1, 1 + z] as const, label })),
    probability: drawn.map(({ z, label }) => ({ score: 1 / (1 + Math.exp(-z)), label })),
    // Of two options the given one is right if the label says so.
    choice: drawn.map(({ z, label }) => ({ score: { logits: [0, z], answer: 1, target: label }, label })),
  };
}

for (const kind of CALIBRATORS) {
  Deno.test(`${kind}: logits, a probability and two options with the same log-odds are calibrated alike`, () => {
    const [pair, ...others] = Object.values(forms()).map((rows) => {
      const { calibrator, nllBefore, nllAfter } = fitCalibrator(kind, rows);
      assert(nllAfter < nllBefore, `${nllBefore} became ${nllAfter}`);
      return rows.map(({ score }) => calibrated(score, calibrator)!);
    });
    for (const other of others) assertClose(other, pair, { absolute: 1e-9, relative: 0 });
  });

  Deno.test(`${kind}: what is reported is the mean negative log-likelihood of the rows`, () => {
    const rows = forms().probability;
    const { calibrator, nllBefore, nllAfter } = fitCalibrator(kind, rows);
    const nll = (confidence: (row: ScoredRow) => number) =>
      rows.reduce(
        (sum, row) => sum - Math.log(row.label === 1 ? confidence(row) : 1 - confidence(row)) / rows.length,
        0,
      );
    assertAlmostEquals(nllBefore, nll(({ score }) => probabilityOf(score)!), 1e-12);
    assertAlmostEquals(nllAfter, nll(({ score }) => calibrated(score, calibrator)!), 1e-12);
  });

  Deno.test(`${kind}: a higher confidence never becomes a lower one, from 0 to 1, and null stays null`, () => {
    const { calibrator } = fitCalibrator(kind, forms().probability);
    const after = [0, 1e-12, 0.1, 0.3, 0.5, 0.9, 1 - 1e-12, 1].map((p) => calibrated(p, calibrator)!);
    assert(after.every((p) => p >= 0 && p <= 1), `${after}`);
    assertEquals(after, after.toSorted((a, b) => a - b));
    assertEquals(calibrated(null, calibrator), null);
  });

  Deno.test(`${kind}: certain confidences, right and wrong, leave everything finite`, () => {
    const rows = ([[1, 1], [1, 0], [0, 0], [0, 1], [0.5, 1], [0.5, 0]] as const).map(([score, label]) => ({
      score,
      label,
    }));
    const { calibrator, nllBefore, nllAfter } = fitCalibrator(kind, rows);
    const values = [
      nllBefore,
      nllAfter,
      ...Object.values(calibrator).flat().filter((value) => typeof value === "number"),
    ];
    assert(values.every(Number.isFinite), JSON.stringify([calibrator, values]));
  });

  Deno.test(`${kind}: rows that confidence separates leave everything finite`, () => {
    const rows = Array.from({ length: 20 }, (_, index): ScoredRow => ({
      score: (index + 0.5) / 20,
      label: index < 10 ? 0 : 1,
    }));
    const { calibrator } = fitCalibrator(kind, rows);
    assert(
      Object.values(calibrator).flat().every((value) => typeof value === "string" || Number.isFinite(value)),
    );
    assert(calibrated(0.9, calibrator)! > 0.9);
  });
}

for (const kind of ["platt", "beta", "isotonic"] as const) {
  Deno.test(`${kind}: one confidence for all becomes the share of right answers`, () => {
    const rows = ([1, 1, 1, 0] as const).map((label) => ({ score: 0.6, label }));
    const { calibrator } = fitCalibrator(kind, rows);
    // Platt's targets are as if there were one more of each.
    const targets = (3 * (4 / 5) + 1 / 3) / 4;
    assertAlmostEquals(calibrated(0.6, calibrator)!, kind === "platt" ? targets : 0.75, 1e-6);
  });

  Deno.test(`${kind}: rows of one label are refused`, () => {
    assertThrows(() => fitCalibrator(kind, [{ score: 0.5, label: 1 }]), RangeError, "both labels");
    assertThrows(() => fitCalibrator(kind, []), RangeError, "both labels");
  });
}

Deno.test("beta: confidences in the wrong order become one for all, and do not turn round", () => {
  const rows = Array.from({ length: 40 }, (_, index): ScoredRow => ({
    score: (index + 0.5) / 40,
    label: index % 3 === 0 || index < 15 ? 1 : 0,
  }));
  const { calibrator } = fitCalibrator("beta", rows);
  assert(calibrator.kind === "beta" && calibrator.a >= 0 && calibrator.b >= 0, JSON.stringify(calibrator));
});

Deno.test("temperature: options are scaled before their softmax, as fitTemperature() scales them", () => {
  const rng = createRng(5);
  const rows = Array.from({ length: 100 }, (): ScoredRow => {
    const logits = Array.from({ length: 4 }, () => 3 * rng.random());
    const target = logits.indexOf(Math.max(...logits)), answer = rng.integer(4);
    return { score: { logits, answer, target: rng.random() < 0.6 ? target : answer }, label: 0 };
  });
  const scored = rows.map(({ score }) => score as ChoiceScore);
  const { temperature } = fitTemperature(scored.map(({ logits, target }) => ({ logits, label: target })));
  assertEquals(fitCalibrator("temperature", rows).calibrator, { kind: "temperature", temperature });
});

Deno.test("calibrated() interpolates an isotonic map between its points, and keeps to its ends", () => {
  const map: Calibrator = { kind: "isotonic", confidences: [0.2, 0.4, 0.8], probabilities: [0.1, 0.5, 0.6] };
  const values = [0, 0.2, 0.3, 0.4, 0.6, 0.8, 1].map((p) => calibrated(p, map)!);
  assertClose(values, [0.1, 0.1, 0.3, 0.5, 0.55, 0.6, 0.6], { absolute: 1e-12, relative: 0 });
});

Deno.test("platt: answers less likely than a rounding of 1 keep their order", () => {
  const { calibrator } = fitCalibrator(
    "platt",
    forms().probability.map(({ score, label }, index) => ({
      score: (score as number) * 10 ** -(index % 40),
      label,
    })),
  );
  const after = [1e-40, 1e-30, 1e-20, 1e-10].map((p) => calibrated(p, calibrator)!);
  assertEquals(new Set(after).size, 4);
});

Deno.test("calibrated() without a calibrator is what the method said", () => {
  assertEquals([0.3, [0, 1] as const, null].map((score) => calibrated(score)), [
    0.3,
    probabilityOf([0, 1]),
    null,
  ]);
});
