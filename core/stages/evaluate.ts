import { calibrated, type Calibrator } from "../calibrators.ts";
import { dataError } from "../files.ts";
import { UserError } from "../errors.ts";
import type { Labeled, Prediction, StoredRow } from "../records.ts";

import type { LanguageModel, Method, MethodContext, Options, Score } from "../types.ts";

/**
 * What a method says of each row, in their order.
 *
 * @throws {UserError} of kind `plugin` for too few or too many scores, and for what is no probability; `data` for logits
 * that are no finite numbers
 */
export async function* scoresOf<O extends Options>(
  model: LanguageModel,
  rows: readonly Labeled[],
  method: Method<O>,
  context: MethodContext<O> & { readonly checkpoint?: string },
): AsyncIterable<Score> {
  const miscounted = (count: string) =>
    new UserError({
      kind: "plugin",
      what: `Method "${method.name}" gave ${count} scores for ${rows.length} rows`,
      where: "predict",
      fix: "yield one pair of logits for each row, in order",
    });
  let index = 0;
  for await (const score of method.predict(model, rows, context)) {
    if (index === rows.length) throw miscounted(`more than ${index}`);
    yield checked(score, rows[index++], method.name);
  }
  if (index !== rows.length) throw miscounted(String(index));
}

/** Asks a method for its confidence in each answer; of rows whose scores are stored, nothing is asked. */
export async function* predictConfidence<O extends Options>(
  model: LanguageModel,
  rows: readonly (Labeled & Pick<StoredRow, "logits">)[],
  method: Method<O>,
  context: MethodContext<O> & { readonly checkpoint?: string },
  calibrator?: Calibrator,
): AsyncIterable<Prediction> {
  const stored = rows.length > 0 && rows.every(({ logits }) => logits !== undefined);
  const scores = stored
    ? rows.map((row) => checked(row.logits!, row, method.name))
    : scoresOf(model, rows, method, context);
  let index = 0;
  for await (const score of scores) {
    const logits = score === null || typeof score === "number" || "logits" in score ? null : score;
    yield { ...rows[index++], logits, pCorrect: calibrated(score, calibrator) };
  }
}

/** A score, if it is one. */
function checked(score: Score, { id }: Labeled, method: string): Score {
  const where = `row ${id}, method ${method}`;
  if (!isScore(score)) {
    throw new UserError({
      kind: "plugin",
      what: `The score of a row is ${JSON.stringify(score) ?? String(score)}`,
      where,
      fix: "yield a pair of logits, a probability, the logits of several answers, or null",
    });
  }
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
  return score;
}

/** Whether it has the form of a score; its numbers may still be none. */
function isScore(score: unknown): score is Score {
  if (score === null || typeof score === "number") return true;
  if (typeof score !== "object") return false;
  const isNumbers = (list: unknown): list is readonly number[] =>
    Array.isArray(list) && list.every((item) => typeof item === "number");
  if (!("logits" in score)) return isNumbers(score) && score.length === 2;
  const { logits, answer, target } = score as Readonly<Record<string, unknown>>;
  if (!isNumbers(logits)) return false;
  return [answer, target].every((index) => Number.isInteger(index) && logits[index as number] !== undefined);
}

function logitsOf(score: Score): readonly number[] {
  if (score === null || typeof score === "number") return [];
  return "logits" in score ? score.logits : score;
}
