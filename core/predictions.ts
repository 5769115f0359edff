/** `predictions.csv`: one row a question, with the confidence and what it was computed from. */
import { readCsv, writeCsv } from "./csv.ts";
import { dataError } from "./files.ts";
import type { Label, Prediction } from "./records.ts";

const COLUMNS = [
  "id",
  "group",
  "label",
  "p_correct",
  "logit_wrong",
  "logit_correct",
  "context",
  "target",
  "output",
] as const;

/** What `predictions.csv` holds of a prediction. */
export type PredictionRow =
  & Pick<Prediction, "id" | "group" | "label" | "pCorrect" | "logits" | "target" | "output">
  & {
    readonly context: string;
  };

/** Writes predictions; numbers are written so that reading gives the same ones back. */
export async function writePredictions(path: string, predictions: readonly PredictionRow[]): Promise<void> {
  await writeCsv(
    path,
    COLUMNS,
    predictions.map(({ id, group, label, pCorrect, logits, context, target, output }) => ({
      id,
      group: group ?? "",
      label: label === null ? "" : label,
      p_correct: pCorrect ?? "",
      logit_wrong: logits?.[0] ?? "",
      logit_correct: logits?.[1] ?? "",
      context,
      target,
      output,
    })),
  );
}

/** Reads what {@linkcode writePredictions} wrote. */
export async function readPredictions(path: string): Promise<PredictionRow[]> {
  const rows = await readCsv(path, COLUMNS);
  return rows.map((row, index) => {
    const number = (name: string, sound: (value: number) => boolean = Number.isFinite): number => {
      const value = Number(row[name]);
      if (row[name].trim() === "" || !sound(value)) {
        throw dataError(
          `${name} is ${JSON.stringify(row[name])}`,
          `${path}, row ${index + 1}`,
          "evaluate again",
        );
      }
      return value;
    };
    const { id, group, label, context, target, output } = row;
    const scored = row.logit_wrong !== "" || row.logit_correct !== "";
    return {
      id,
      ...(group === "" ? {} : { group }),
      label: label === "" ? null : number("label", (value) => value === 0 || value === 1) as Label,
      pCorrect: row.p_correct === "" && !scored
        ? null
        : number("p_correct", (value) => value >= 0 && value <= 1),
      logits: scored ? [number("logit_wrong"), number("logit_correct")] : null,
      context,
      target,
      output,
    };
  });
}
