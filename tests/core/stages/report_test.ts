import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Prediction } from "../../../core/records.ts";
import type { Summary } from "../../../core/stages/summarise.ts";
import { renderReport, type ReportedRun } from "../../../core/stages/report.ts";
import { prediction } from "../_samples.ts";

const PREDICTIONS = [
  prediction("a", 1, 0.9),
  prediction("b", 0, 0.8),
  prediction("c", 0, 0.2),
  prediction("d", null, 0.99),
];

/** A summary with this AUROC. */
const summary = (auroc: Summary["metrics"][string] = { value: 0.75, low: 0.7, high: 0.8 }): Summary => ({
  n: 3,
  undecided: 1,
  unscored: 0,
  correct: 1,
  groups: 0,
  metrics: { accuracy: { value: 1 / 3, low: 0.1, high: 0.6 }, auroc },
});

const run = (parts: Partial<ReportedRun> = {}): ReportedRun => ({
  title: "before",
  summary: summary(),
  predictions: PREDICTIONS,
  about: { model: "facts" },
  ...parts,
});

const render = (...runs: readonly ReportedRun[]) => renderReport("Calibration of facts", runs);

/** Rows of all tables, as the texts of their cells. */
const tableRows = (html: string) =>
  [...html.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row]) =>
    [...row.matchAll(/<t[hd]>(.*?)<\/t[hd]>/gs)].map(([, cell]) => cell)
  );

function assertRow(html: string, row: readonly string[]): void {
  const rows = tableRows(html).map((cells) => cells.join(" | "));
  assert(rows.includes(row.join(" | ")), `${row.join(" | ")} is not among\n${rows.join("\n")}`);
}

Deno.test("renderReport() is an HTML page with the heading as its title", async () => {
  const html = await render(run());
  assert(html.startsWith("<!doctype html>"));
  assertStringIncludes(html, "<title>Calibration of facts</title>");
  assertStringIncludes(html, "<h1>Calibration of facts</h1>");
});

Deno.test("renderReport() shows runs side by side: counts, values and intervals", async () => {
  const after = run({ title: "after", summary: summary({ value: 0.9, low: 0.85, high: 0.95 }) });
  const html = await render(run(), after);
  assertRow(html, ["", "before", "after"]);
  assertRow(html, ["questions", "3", "3"]);
  assertRow(html, ["undecided", "1", "1"]);
  assertRow(html, ["auroc", "0.750 [0.700, 0.800]", "0.900 [0.850, 0.950]"]);
});

Deno.test("renderReport() shows a value without its interval where there is none", async () => {
  assertRow(await render(run({ summary: summary({ value: 0.6, low: null, high: null }) })), [
    "auroc",
    "0.600",
  ]);
});

Deno.test("renderReport() says why a metric is undefined", async () => {
  const html = await render(run({ summary: summary({ undefined: "all 3 answers are wrong" }) }));
  assertRow(html, ["auroc", "undefined: all 3 answers are wrong"]);
  assertStringIncludes(
    html,
    "before: whether confidence tells right answers from wrong ones cannot be said. all 3 answers are wrong.",
  );
});

for (
  const { low, high, words } of [
    { low: 0.45, high: 0.55, words: "no better than chance" },
    { low: 0.5, high: 0.6, words: "no better than chance" },
    { low: 0.4, high: 0.5, words: "no better than chance" },
    { low: 0.4, high: 0.499, words: "worse than chance" },
  ]
) {
  Deno.test(`renderReport() says "${words}" of an AUROC between ${low} and ${high}`, async () => {
    const html = await render(run({ summary: summary({ value: (low + high) / 2, low, high }) }));
    assertStringIncludes(html, `before: confidence tells right answers from wrong ones ${words} (AUROC `);
  });
}

Deno.test("renderReport() says nothing of chance where AUROC is above it, undefined or without interval", async () => {
  for (
    const auroc of [
      { value: 0.6, low: 0.501, high: 0.7 },
      { value: 0.4, low: null, high: null },
      { undefined: "one class" },
    ]
  ) {
    assertEquals((await render(run({ summary: summary(auroc) }))).includes("than chance"), false);
  }
});

Deno.test("renderReport() says how many answers have no confidence, and how many of all are correct", async () => {
  const html = await render(run({ summary: { ...summary(), unscored: 1, correct: 2 } }));
  assertRow(html, ["no confidence", "1"]);
  assertStringIncludes(html, "before: 1 of 4 decided answers have no confidence, and no metric counts them.");
  assertStringIncludes(html, "Of all 4, 2 are correct (50.0 %).");
});

Deno.test("renderReport() says what the intervals are over", async () => {
  assertStringIncludes(await render(run()), "by bootstrap over the questions.");
  const grouped = run({ summary: { ...summary(), groups: 8 } });
  assertStringIncludes(await render(grouped), "by bootstrap over 8 groups of questions.");
  assertStringIncludes(
    await render(run(), grouped),
    "by bootstrap over groups of questions where a run has them.",
  );
});

Deno.test("renderReport() shows which end of a scale is good, and what a metric is, where it is told", async () => {
  const html = await renderReport("x", [run()], [
    { name: "auroc", better: "higher", description: "Ranks <right> above wrong" },
    { name: "ece", better: "lower", description: "Not in this table" },
  ]);
  assertRow(html, ["auroc ↑", "0.750 [0.700, 0.800]"]);
  assertStringIncludes(html, "<dt>auroc</dt><dd>Ranks &#60;right&#62; above wrong</dd>");
  assertEquals(html.includes("Not in this table"), false);
});

Deno.test("renderReport() shows every metric that a run has, and a dash where another lacks it", async () => {
  const { auroc } = summary().metrics;
  const other = run({ title: "after", summary: { ...summary(), metrics: { auroc, smece: auroc } } });
  const html = await render(run(), other);
  assertRow(html, ["accuracy", "0.333 [0.100, 0.600]", "–"]);
  assertRow(html, ["smece", "–", "0.750 [0.700, 0.800]"]);
});

Deno.test("renderReport() ends the datasets with both means", async () => {
  const means = {
    unweighted: { accuracy: { value: 0.4, low: 0.3, high: 0.5 }, auroc: null },
    weighted: { accuracy: { value: 0.6, low: 0.5, high: 0.7 }, auroc: null },
  };
  const parts = ["mmlu:anatomy", "mmlu:marketing"].map((title) => ({ title, summary: summary() }));
  const html = await render(run({ parts, means }));
  assertRow(html, ["mean over datasets", "6", "0.400 [0.300, 0.500]", "–"]);
  assertRow(html, ["mean over questions", "6", "0.600 [0.500, 0.700]", "–"]);
});

Deno.test("renderReport() draws a reliability diagram for each run, and one chart of risk and coverage", async () => {
  assertEquals((await render(run(), run({ title: "after" }))).match(/<svg/g)?.length, 3);
});

Deno.test("renderReport() leaves undecided answers out of the diagrams", async () => {
  const decided = PREDICTIONS.filter(({ label }) => label !== null);
  assertEquals(await render(run()), await render(run({ predictions: decided })));
});

Deno.test("renderReport() shows each dataset by itself where a run has several", async () => {
  const part = (title: string) => ({ title, summary: summary() });
  const html = await render(run({ parts: [part("mmlu:anatomy"), part("mmlu:marketing")] }));
  assertRow(html, ["dataset", "N", "accuracy", "auroc"]);
  assertRow(html, ["mmlu:marketing", "3", "0.333 [0.100, 0.600]", "0.750 [0.700, 0.800]"]);
  assertEquals((await render(run())).includes("Dataset by dataset"), false);
});

Deno.test("renderReport() lists the wrong answers, the most confident first, and at most ten", async () => {
  const wrong = Array.from({ length: 12 }, (_, index) => prediction(`w${index}`, 0, (index + 1) / 100));
  const html = await render(run({ predictions: [...wrong, prediction("right", 1, 0.9)] }));
  const listed = tableRows(html).filter(([p]) => /^0\.\d{3}$/.test(p)).map(([p]) => p);
  assertEquals(
    listed,
    Array.from({ length: 10 }, (_, index) => `0.${String(120 - 10 * index).padStart(3, "0")}`),
  );
});

Deno.test("renderReport() lists question, answer and right answer of a confident error", async () => {
  const error: Prediction = { ...prediction("w", 0, 0.987), output: "Paris, Texas", target: "Paris" };
  assertRow(await render(run({ predictions: [error] })), [
    "0.987",
    "Question: What is w?",
    "Paris, Texas",
    "Paris",
  ]);
});

Deno.test("renderReport() has no list of errors where every answer is right", async () => {
  const html = await render(run({ predictions: [prediction("a", 1, 0.9)] }));
  assertEquals(html.includes("Wrong but confident"), false);
});

Deno.test("renderReport() shows the settings of every run, also those that only one has", async () => {
  const html = await render(run(), run({ title: "after", about: { model: "facts", temperature: "1.7" } }));
  assertRow(html, ["model", "facts", "facts"]);
  assertRow(html, ["temperature", "", "1.7"]);
});

const HOSTILE = `"><script>alert('x')</script><img src=x onerror=alert(1)>&`;

Deno.test("renderReport() shows hostile text as text wherever it may stand", async () => {
  const wrong = { ...prediction("w", 0, 0.9), context: HOSTILE, output: HOSTILE, target: HOSTILE };
  const html = await renderReport(HOSTILE, [run({
    title: HOSTILE,
    summary: summary({ undefined: HOSTILE }),
    predictions: [wrong, prediction("r", 1, 0.9)],
    parts: [{ title: HOSTILE, summary: summary() }],
    about: { [HOSTILE]: HOSTILE },
  })]);
  assertEquals(html.match(/<script|<img/gi), null);
  assertRow(html, ["0.900", ...Array(3).fill(HOSTILE.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`))]);
});

Deno.test("renderReport() fits narrow and dark screens: tables scroll by themselves, charts have no page of their own", async () => {
  const html = await render(run(), run({ title: "after" }));
  const tables = html.split("<table>").length - 1;
  assertEquals([...html.matchAll(/<div class="wide"><table>/g)].length, tables);
  assertStringIncludes(html, '<meta name="color-scheme" content="light dark">');
  assertEquals(/fill="white"/.test(html), false);
});

Deno.test("renderReport() loads nothing: no script, no link, and addresses only as names of XML vocabularies", async () => {
  const html = await render(run(), run({ title: "after" }));
  assertEquals(html.match(/<(script|link|iframe|object|embed|img|image|use)\b/gi), null);
  assertEquals(html.match(/\b(src|href|srcset|action|data|poster)\s*=|url\(|@import/gi), null);
  const addresses = [...html.matchAll(/(\S*?)"(?:https?:)?\/\/[^"]*"/g)].map(([, before]) => before);
  assert(addresses.every((name) => /^xmlns(:xlink)?=$/.test(name)), `${addresses}`);
});

Deno.test("renderReport() gives the same text for the same runs", async () => {
  assertEquals(await render(run()), await render(run()));
});
