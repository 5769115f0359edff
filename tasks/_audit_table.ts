import {
  type Decision,
  DECISIONS,
  type LabelerQuality,
  QUALITY_TITLES,
  type QualityName,
} from "../core/mod.ts";
import { cell, table } from "./_table.ts";

/** A labeler's confusion matrix and rates, for a terminal. */
export function qualityText({ rows, judged, labeledAccuracy, shares }: LabelerQuality): string {
  const decisions = DECISIONS.filter((decision) => rows[decision] > 0);
  const line = (decision: Decision) => [
    `labelled ${decision}`,
    ...DECISIONS.map((human) => String(judged[decision][human])),
    String(rows[decision]),
  ];
  const matrix = table(["", "human: correct", "wrong", "undecided", "of rows"], decisions.map(line));
  const rates = Object.entries(shares).map(([name, share]) => [
    QUALITY_TITLES[name as QualityName],
    "undefined" in share ? `– (${share.undefined})` : cell(share),
  ]);
  const labeled = ["accuracy by the labeler", labeledAccuracy?.toFixed(3) ?? "–"];
  return [
    matrix,
    "",
    table(["", "share"], [...rates.slice(0, -1), labeled, ...rates.slice(-1)]),
    "95 % intervals in brackets.",
  ].join("\n");
}
