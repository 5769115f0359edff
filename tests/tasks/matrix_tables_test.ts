import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { type MatrixCell, UserError } from "../../core/mod.ts";
import { checkPage, writePage } from "../../tasks/_matrix_page.ts";
import { readPeer } from "../../tasks/_matrix_peer.ts";
import { type CellResult, takeFraction } from "../../tasks/_matrix_stages.ts";
import {
  gridTables,
  markdownTables,
  methodTable,
  peerTable,
  textTables,
} from "../../tasks/_matrix_tables.ts";
import { withFolder } from "./_cli.ts";

interface Made {
  readonly method?: string;
  readonly model?: string;
  readonly seed?: number;
  /** Style and share that it was trained on; untrained if absent. */
  readonly trained?: string;
  readonly fraction?: number;
  readonly trainAnswers?: string;
  readonly style?: string;
  readonly answers?: string;
  readonly auroc?: number;
}

/** A cell with made-up results: an ECE of a tenth of the AUROC, intervals of ± 0.01. */
function made(
  {
    method = "lora-prompt",
    model = "a",
    seed = 1,
    trained,
    fraction = 1,
    trainAnswers,
    style = "oe",
    answers,
    auroc = 0.7,
  }: Made,
): { cell: MatrixCell; result: CellResult } {
  const training = trained === undefined
    ? {}
    : { training: { answers: trainAnswers ?? model, dataset: "facts", style: trained, fraction } };
  const evaluation = { answers: answers ?? model, dataset: "facts", style };
  const cell = { method, model, seed, ...training, evaluation };
  const around = (value: number) => ({ value, low: value - 0.01, high: value + 0.01 });
  return {
    cell,
    result: {
      cell,
      path: "",
      answers: `answers/${evaluation.answers}/facts/${style}`,
      n: 100,
      undecided: 3,
      unscored: 4,
      metrics: {
        accuracy: around(0.5),
        auroc: around(auroc),
        ece: around(auroc / 10),
        brier: { undefined: "no" },
      },
      trainSeconds: trained === undefined ? null : 60,
      tokens: { read: 60, written: 2, kept: 40 },
    },
  };
}

const METRICS = ["auroc", "brier"];

Deno.test("methodTable() shows a metric with its interval, seconds, tokens beyond the answer's, and rows left out", () => {
  const cells = [made({ method: "zero-shot", auroc: 0.5 }), made({ trained: "oe" })];
  const { header, rows, note } = methodTable({ title: "All", cells }, METRICS);
  assertEquals(header, ["method", "auroc", "brier", "training s", "extra tokens", "left out"]);
  assertEquals(rows, [
    ["zero-shot", "0.500 [0.490, 0.510]", "–", "–", "22.0", "7"],
    ["lora-prompt", "0.700 [0.690, 0.710]", "–", "60", "22.0", "7"],
  ]);
  assertStringIncludes(note!, "95 % intervals");
});

Deno.test("methodTable() takes seeds together, with the lowest and the highest", () => {
  const cells = [0.6, 0.7, 0.8].map((auroc, seed) => made({ trained: "oe", seed, auroc }));
  const { rows, note } = methodTable({ title: "All", cells }, ["auroc"]);
  assertEquals(rows.map(([, auroc]) => auroc), ["0.700 [0.600, 0.800]"]);
  assertStringIncludes(note!, "3 seeds");
});

Deno.test("methodTable() shows a dash, and no mean of the rest, where a stage failed", () => {
  const [first, { cell }] = [made({ trained: "oe", seed: 1 }), made({ trained: "oe", seed: 2 })];
  assertEquals(methodTable({ title: "All", cells: [first, { cell }] }, ["auroc"]).rows[0][1], "–");
});

Deno.test("methodTable() takes the datasets of a collection together, and counts what is left out of all", () => {
  const cells = [0.6, 0.8].map((auroc, index) => {
    const { cell, result } = made({ trained: "oe", auroc });
    const evaluation = { ...cell.evaluation, dataset: `mmlu:${index}` };
    return {
      cell: { ...cell, evaluation: { ...cell.evaluation, dataset: "eval:mmlu" } },
      result: { ...result, cell: { ...cell, evaluation } },
    };
  });
  const { header, rows, note } = methodTable({ title: "All", cells }, ["auroc"]);
  assertEquals(header[1], "trained on");
  assertEquals(rows, [["lora-prompt", "facts", "0.700", "60", "22.0", "14"]]);
  assertStringIncludes(note!, "mean over its datasets");
});

Deno.test("a grid of styles on both sides has a transfer table: trained on in rows, judged in columns", () => {
  const styles = ["oe", "choice"];
  const cells = styles.flatMap((trained) =>
    styles.map((style) => made({ trained, style, auroc: trained === style ? 0.7 : 0.6 }))
  );
  const [all, transfer, ...more] = gridTables({ title: "T", cells }, ["auroc"]);
  assertEquals(all.header.slice(0, 3), ["method", "train style", "style"]);
  assertEquals(transfer.title, "T: style transfer");
  assertEquals(transfer.header, ["method", "training", "judging oe", "judging choice"]);
  assertEquals(transfer.rows, [
    ["lora-prompt", "trained on oe", "0.500 / 0.700 / 0.070", "0.500 / 0.600 / 0.060"],
    ["lora-prompt", "trained on choice", "0.500 / 0.600 / 0.060", "0.500 / 0.700 / 0.070"],
  ]);
  assertEquals(more, []);
});

Deno.test("a grid that trains in the style it evaluates has no transfer table", () => {
  const cells = ["oe", "choice"].map((style) => made({ trained: style, style }));
  assertEquals(gridTables({ title: "T", cells }, ["auroc"]).length, 1);
});

Deno.test("a grid of shares has a data-scaling table, the mean over seeds in each cell", () => {
  const cells = [0.01, 0.1, 1].flatMap((fraction) =>
    [1, 2].map((seed) => made({ trained: "oe", fraction, seed, auroc: 0.5 + 0.1 * fraction + 0.02 * seed }))
  );
  const [, scaling] = gridTables({ title: "T", cells }, ["auroc"]);
  assertEquals(scaling.title, "T: data scaling");
  assertEquals(scaling.header, ["method", "1 %", "10 %", "100 %"]);
  assertEquals(scaling.rows, [
    ["lora-prompt", "0.500 / 0.531 / 0.053", "0.500 / 0.540 / 0.054", "0.500 / 0.630 / 0.063"],
  ]);
});

Deno.test("a grid of answers has a cross-model table: judge and training in rows, whose answers in columns", () => {
  const names = ["a", "b"];
  const cells = names.flatMap((model) =>
    names.flatMap((trainAnswers) =>
      names.map((answers) => made({ model, trained: "oe", trainAnswers, answers }))
    )
  );
  const [all, cross] = gridTables({ title: "T", cells }, ["auroc"]);
  assertEquals(all.header.slice(0, 4), ["method", "model", "trained on answers of", "answers of"]);
  assertEquals(cross.header, ["method", "judge", "training", "judging a", "judging b"]);
  assertEquals(cross.rows.map((row) => row.slice(1, 3)), [
    ["a", "answers of a"],
    ["a", "answers of b"],
    ["b", "answers of a"],
    ["b", "answers of b"],
  ]);
});

const PEER = {
  name: "the other code",
  script: "other.py",
  versions: { torch: "2" },
  model: "a",
  dataset: "facts",
  labels: { oe: { train: "t", validation: "v", test: "e" } },
  results: [
    { method: "lora-prompt", style: "oe", seed: 1, metrics: { auroc: 0.705, ece: 0.07 } },
    { method: "lora-prompt", style: "oe", seed: 2, metrics: { auroc: 0.72, ece: 0.07 } },
    { method: "probe", style: "oe", seed: 1, metrics: { auroc: 0.5, ece: 0.07 } },
  ],
};

const LABELS = { "answers/a/facts/oe": PEER.labels.oe, "answers/b/facts/oe": PEER.labels.oe };

Deno.test("peerTable() counts whose results lie within our intervals of the same seed", () => {
  const others = [
    made({ trained: "choice", auroc: 0.1 }),
    made({ trained: "oe", fraction: 0.5, auroc: 0.1 }),
    made({ trained: "oe", model: "b", auroc: 0.1 }),
    made({ trained: "oe", answers: "b", auroc: 0.1 }),
  ].map(({ result }) => result);
  const results = [1, 2].map((seed) => made({ trained: "oe", seed }).result);
  const { rows, note } = peerTable(PEER, [...others, ...results], LABELS);
  assertEquals(rows.map((row) => [row[2], row[3], row[5]]), [
    ["auroc", "0.705 · 0.720", "1 of 2"],
    ["ece", "0.070 · 0.070", "2 of 2"],
  ]);
  assertStringIncludes(note!, "Seeds 1, 2");
});

Deno.test("peerTable() compares nothing that was run on other answers, and says so", () => {
  const results = [made({ trained: "oe" }).result];
  const changed = { "answers/a/facts/oe": { ...PEER.labels.oe, train: "other" } };
  const { rows, note } = peerTable(PEER, results, changed);
  assertEquals(rows, []);
  assertStringIncludes(note!, "record it again");
});

Deno.test("recorded results that are something else are refused", () =>
  withFolder(async (folder) => {
    const path = join(folder, "peer.json");
    for (
      const contents of [
        "null",
        "[]",
        '{"name":"x"}',
        JSON.stringify({ ...PEER, results: [{ method: 1 }, null] }),
      ]
    ) {
      await Deno.writeTextFile(path, contents);
      await assertRejects(() => readPeer(path), UserError, "Not recorded results");
    }
    await Deno.writeTextFile(path, JSON.stringify(PEER));
    assertEquals((await readPeer(path)).results.length, 3);
  }));

Deno.test("tables are written with columns that line up, and as Markdown with bars escaped", () => {
  const tables = [{ title: "T", header: ["a|b", "c"], rows: [["1", "2"]], note: "N" }];
  assertEquals(markdownTables(tables), "### T\n\n| a\\|b | c |\n| --- | ---: |\n| 1 | 2 |\n\nN");
  assertEquals(textTables(tables), "T\n\na|b  c\n───  ─\n1    2\nN");
});

Deno.test("a page keeps what stands around the part of a matrix, and writing it again changes nothing", () =>
  withFolder(async (folder) => {
    const path = join(folder, "page.md");
    await writePage(path, "one", "first");
    const page = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, `before\n${page}after\n`);
    await writePage(path, "one", "second");
    await writePage(path, "one", "second");
    assertEquals(await Deno.readTextFile(path), `before\n${page.replace("first", "second")}after\n`);
  }));

Deno.test("a page without a place for a matrix is refused before anything is done, with the lines to add", () =>
  withFolder(async (folder) => {
    const path = join(folder, "page.md");
    await checkPage(path, "one");
    await writePage(path, "one", "text");
    const error = await assertRejects(() => checkPage(path, "two"), UserError);
    assertStringIncludes(error.fix, "<!-- end of matrix two -->");
    await checkPage(path, "one");
  }));

const ROWS = Array.from({ length: 200 }, (_, index) => index);

Deno.test("takeFraction() draws without replacement, and a smaller share lies within a larger one", () => {
  const shares = [0.01, 0.1, 0.25, 0.5, 1].map((fraction) => takeFraction(ROWS, "train", fraction, 137));
  assertEquals(shares.map(({ length }) => length), [2, 20, 50, 100, 200]);
  for (const [index, share] of shares.entries()) {
    assertEquals(new Set(share).size, share.length);
    assertEquals(share, share.toSorted((a, b) => a - b));
    const larger = new Set(shares[index + 1] ?? ROWS);
    assertEquals(share.filter((row) => !larger.has(row)), []);
  }
});

Deno.test("takeFraction() draws others with another seed, and at least one row", () => {
  const [one, other] = [1, 2].map((seed) => takeFraction(ROWS, "train", 0.1, seed));
  assertEquals(one.every((row, index) => row === other[index]), false);
  assertEquals(takeFraction([7], "train", 0.01, 1), [7]);
});
