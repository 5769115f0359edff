/** Charts as SVG text, drawn by Vega-Lite. */
import { reliability, riskCoverage } from "./reliability.ts";
import type { Scored } from "./types.ts";

const WIDTH = 360, HEIGHT = 300, STRIP_HEIGHT = 60;

const SHARE = { format: "%", tickCount: 5 };

/** Accuracy by confidence, with intervals, over a strip of counts. */
export function reliabilityChart(title: string, pairs: readonly Scored[]): Promise<string> {
  const values = reliability(pairs).filter(({ count }) => count > 0);
  const confidence = (axis: unknown) => ({
    field: "confidence",
    type: "quantitative",
    scale: { domain: [0, 1] },
    axis,
  });
  const accuracy = { type: "quantitative", scale: { domain: [0, 1] } };
  return draw({
    title,
    vconcat: [
      {
        width: WIDTH,
        height: HEIGHT,
        layer: [
          {
            data: { values: [{ x: 0, y: 0 }, { x: 1, y: 1 }] },
            mark: { type: "line", strokeDash: [4, 4], color: "#999" },
            encoding: { x: { field: "x", type: "quantitative" }, y: { field: "y", type: "quantitative" } },
          },
          {
            data: { values },
            mark: { type: "rule", color: "#3b6ea8", strokeWidth: 2 },
            encoding: {
              x: confidence({ title: "confidence, P(correct)", ...SHARE }),
              y: { field: "accuracyLow", ...accuracy, axis: { title: "share of correct answers", ...SHARE } },
              y2: { field: "accuracyHigh" },
            },
          },
          {
            data: { values },
            mark: { type: "point", filled: true, size: 70, color: "#3b6ea8" },
            encoding: { x: confidence(undefined), y: { field: "accuracy", ...accuracy } },
          },
        ],
      },
      {
        width: WIDTH,
        height: STRIP_HEIGHT,
        data: { values },
        layer: [
          {
            mark: { type: "bar", color: "#9db8d6" },
            encoding: {
              x: {
                field: "low",
                type: "quantitative",
                scale: { domain: [0, 1] },
                bin: { binned: true },
                axis: null,
              },
              x2: { field: "high" },
              y: { field: "count", type: "quantitative", axis: { title: "answers", tickCount: 2 } },
            },
          },
          {
            transform: [{ calculate: "(datum.low + datum.high) / 2", as: "middle" }],
            mark: { type: "text", dy: -6, fontSize: 10 },
            encoding: {
              x: { field: "middle", type: "quantitative" },
              y: { field: "count", type: "quantitative" },
              text: { field: "count" },
            },
          },
        ],
      },
    ],
  });
}

/** Share of wrong answers by the share that is answered, one line a run. */
export function riskCoverageChart(
  runs: readonly { readonly title: string; readonly pairs: readonly Scored[] }[],
): Promise<string> {
  const values = runs.flatMap(({ title, pairs }) =>
    riskCoverage(pairs).map((point) => ({ run: title, ...point }))
  );
  return draw({
    width: 1.6 * WIDTH,
    height: HEIGHT,
    data: { values },
    mark: { type: "line", interpolate: "step-before" },
    encoding: {
      x: {
        field: "coverage",
        type: "quantitative",
        scale: { domain: [0, 1] },
        axis: { title: "share of questions answered", ...SHARE },
      },
      y: { field: "risk", type: "quantitative", axis: { title: "share of wrong answers", ...SHARE } },
      color: {
        field: "run",
        type: "nominal",
        sort: runs.map(({ title }) => title),
        legend: { title: null, orient: "top" },
      },
    },
  });
}

async function draw(chart: Record<string, unknown>): Promise<string> {
  const [vega, lite] = await Promise.all([import("vega"), import("vega-lite")]);
  const spec = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: "transparent",
    ...chart,
  };
  const view = new vega.View(vega.parse(lite.compile(spec as Parameters<typeof lite.compile>[0]).spec), {
    renderer: "none",
  });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
