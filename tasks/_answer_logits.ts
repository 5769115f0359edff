/** How well a model's own answer logits do: the research code's `logits_acc`, `logits_auroc` and `logits_ece`. */
import {
  type Generation,
  type Judged,
  type LanguageModel,
  type Metric,
  type ProgressSink,
  type Rng,
  softmax,
  summarise,
  type Summary,
} from "../core/mod.ts";
import { choiceLogits } from "../plugins/mod.ts";

/** How answers are read, and what is computed. */
export interface AnswerLogitsOptions {
  readonly batchSize: number;
  readonly progress: ProgressSink;
  /** Whether questions are turns of a chat. */
  readonly chat?: boolean;
  /** Divides the logits; 1 if absent. */
  readonly temperature?: number;
  readonly metrics: readonly Metric[];
  /** For the intervals. */
  readonly rng: Rng;
}

/**
 * Metrics of the option whose letter the model finds likeliest, whatever it wrote: the confidence is that option's share
 * of the softmax over all, and it is correct if it is the right one.
 */
export async function answerLogits(
  model: LanguageModel,
  rows: readonly Generation[],
  { metrics, rng, temperature, ...options }: AnswerLogitsOptions,
): Promise<Summary> {
  const judged: Judged[] = [];
  for await (const { logits, target } of choiceLogits(model, rows, options)) {
    const shares = softmax(logits, temperature),
      pCorrect = Math.max(...shares),
      { group } = rows[judged.length];
    const label = shares.indexOf(pCorrect) === target ? 1 as const : 0 as const;
    judged.push({ label, pCorrect, ...(group === undefined ? {} : { group }) });
  }
  return summarise(judged, metrics, rng);
}
