import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { reliabilityChart, riskCoverageChart } from "../../core/charts.ts";
import type { Scored } from "../../core/types.ts";

/** Pairs with this confidence. */
const times = (count: number, label: 0 | 1, pCorrect: number): Scored[] =>
  Array.from({ length: count }, () => ({ label, pCorrect }));

const pairs = [...times(237, 1, 0.95), ...times(41, 0, 0.12), ...times(13, 1, 1)];

/** Texts that stand in a chart. */
const texts = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);

Deno.test("reliabilityChart() is an SVG that names its axes and shows its title", async () => {
  const svg = await reliabilityChart("before", pairs);
  assert(svg.startsWith("<svg") && svg.endsWith("</svg>"));
  const shown = texts(svg);
  for (const text of ["before", "confidence, P(correct)", "share of correct answers", "answers"]) {
    assert(shown.includes(text), `"${text}" is not among ${shown}`);
  }
});

Deno.test("reliabilityChart() shows how many answers each bin holds, a confidence of 1 among them", async () => {
  const shown = texts(await reliabilityChart("before", pairs));
  assert(shown.includes("41") && shown.includes("250"), `${shown}`);
});

Deno.test("reliabilityChart() draws one point, with its interval, for each bin that holds answers", async () => {
  const svg = await reliabilityChart("before", pairs);
  assertEquals(svg.match(/aria-label="confidence: [^"]*; accuracy: /g)?.length, 2);
  assertEquals(svg.match(/aria-label="confidence: [^"]*; accuracyLow: [^"]*; accuracyHigh: /g)?.length, 2);
});

Deno.test("riskCoverageChart() draws a line for each run and names it", async () => {
  const svg = await riskCoverageChart([{ title: "before", pairs }, {
    title: "after",
    pairs: times(9, 0, 0.3),
  }]);
  const shown = texts(svg);
  for (const text of ["before", "after", "share of questions answered", "share of wrong answers"]) {
    assert(shown.includes(text), `"${text}" is not among ${shown}`);
  }
});

for (
  const [name, draw] of [
    ["reliabilityChart", (title: string) => reliabilityChart(title, pairs)],
    ["riskCoverageChart", (title: string) => riskCoverageChart([{ title, pairs }])],
  ] as const
) {
  Deno.test(`${name}() gives the same text for the same data, whatever was drawn before`, async () => {
    const first = await draw("a");
    await draw("b");
    assertEquals(await draw("a"), first);
  });

  Deno.test(`${name}() shows a hostile title as text`, async () => {
    const svg = await draw(`<script>alert("x")</script>&`);
    assertEquals(svg.includes("<script"), false);
    assertStringIncludes(svg, "&lt;script&gt;");
  });
}

Deno.test("reliabilityChart() and riskCoverageChart() of no answers are charts without points", async () => {
  assertStringIncludes(await reliabilityChart("nothing", []), "<svg");
  assertStringIncludes(await riskCoverageChart([{ title: "nothing", pairs: [] }]), "<svg");
});
