import { type Estimate, estimate, type Undefined } from "../bootstrap.ts";
import { dataError } from "../files.ts";
import { UserError } from "../errors.ts";
import type { Labeled, Prediction } from "../records.ts";
import type { Rng } from "../rng.ts";
import { probabilityCorrect } from "../temperature.ts";
import type { LanguageModel, Method, MethodContext, Metric, Options, Scored } from "../types.ts";

/** Asks a method for its confidence in each answer. */
export async function* predictConfidence<O extends Options>(
  model: LanguageModel,
  rows: readonly Labeled[],
  method: Method<O>,
  context: MethodContext<O> & { readonly checkpoint?: string },
  temperature = 1,
): AsyncIterable<Prediction> {
  const miscounted = (count: string) =>
    new UserError({
      kind: "plugin",
      what: `Method "${method.name}" gave ${count} scores for ${rows.length} rows`,
      where: "predict",
      fix: "yield one pair of logits for each row, in order",
    });
  let index = 0;
  for await (const [wrong, correct] of method.predict(model, rows, context)) {
    if (index === rows.length) throw miscounted(`more than ${index}`);
    const row = rows[index++];
    if (!Number.isFinite(wrong) || !Number.isFinite(correct)) {
      throw dataError(
        `The logits of a row are ${wrong} and ${correct}`,
        `row ${row.id}, method ${method.name}`,
        "check the checkpoint: its training may have diverged",
      );
    }
    yield { ...row, logits: [wrong, correct], pCorrect: probabilityCorrect([wrong, correct], temperature) };
  }
  if (index !== rows.length) throw miscounted(String(index));
}

/** What is reported about a set of predictions. */
export interface Summary {
  /** Rows with a label. */
  readonly n: number;
  /** Rows the labeler could not decide; no metric counts them. */
  readonly undecided: number;
  /** By name of the metric. */
  readonly metrics: Readonly<Record<string, Estimate | Undefined>>;
}

/** Computes the metrics, with 95 % intervals, over the decided rows. */
export function summarise(predictions: readonly Prediction[], metrics: readonly Metric[], rng: Rng): Summary {
  const pairs = predictions.filter(({ label }) => label !== null)
    .map(({ label, pCorrect }): Scored => ({ label: label as 0 | 1, pCorrect }));
  if (pairs.length === 0) {
    throw dataError(
      `None of ${predictions.length} answers has a label`,
      "evaluation",
      "label the answers first (deno task generate labels), or use another --strategy",
    );
  }
  return {
    n: pairs.length,
    undecided: predictions.length - pairs.length,
    metrics: Object.fromEntries(estimate(pairs, metrics, rng)),
  };
}
