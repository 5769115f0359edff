import { calibrated, type Calibrator } from "../calibrators.ts";
import { dataError } from "../files.ts";
import { UserError } from "../errors.ts";
import type { Labeled, Prediction, StoredRow } from "../records.ts";

import type { LanguageModel, Method, MethodContext, Options, Score } from "../types.ts";

/** Asks a method for its confidence in each answer; of rows whose scores are stored, nothing is asked. */
export async function* predictConfidence<O extends Options>(
  model: LanguageModel,
  rows: readonly (Labeled & Pick<StoredRow, "logits">)[],
  method: Method<O>,
  context: MethodContext<O> & { readonly checkpoint?: string },
  calibrator?: Calibrator,
): AsyncIterable<Prediction> {
  const miscounted = (count: string) =>
    new UserError({
      kind: "plugin",
      what: `Method "${method.name}" gave ${count} scores for ${rows.length} rows`,
      where: "predict",
      fix: "yield one pair of logits for each row, in order",
    });
  let index = 0;
  const stored = rows.length > 0 && rows.every(({ logits }) => logits !== undefined);
  const scores = stored ? rows.map(({ logits }) => logits!) : method.predict(model, rows, context);
  for await (const score of scores) {
    if (index === rows.length) throw miscounted(`more than ${index}`);
    const row = rows[index++];
    yield { ...row, ...confidenceOf(score, calibrator, `row ${row.id}, method ${method.name}`) };
  }
  if (index !== rows.length) throw miscounted(String(index));
}

/** Logits, if a method gave them, and P(correct), if it can be had. */
function confidenceOf(
  score: Score,
  calibrator: Calibrator | undefined,
  where: string,
): Pick<Prediction, "logits" | "pCorrect"> {
  if (typeof score === "number" && !(score >= 0 && score <= 1)) {
    throw new UserError({
      kind: "plugin",
      what: `The confidence of a row is ${score}`,
      where,
      fix: "a probability is from 0 to 1; where there is none, yield null",
    });
  }
  const all = logitsOf(score);
  if (!all.every(Number.isFinite)) {
    throw dataError(
      `The logits of a row are ${all.join(" and ")}`,
      where,
      "check the checkpoint: its training may have diverged",
    );
  }
  const logits = score === null || typeof score === "number" || "logits" in score ? null : score;
  return { logits, pCorrect: calibrated(score, calibrator) };
}

function logitsOf(score: Score): readonly number[] {
  if (score === null || typeof score === "number") return [];
  return "logits" in score ? score.logits : score;
}
