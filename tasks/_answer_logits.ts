/** How well a model's own answer logits do: the research code's `logits_acc`, `logits_auroc` and `logits_ece`. */
import {
  type Generation,
  type LanguageModel,
  listedChoices,
  type PredictionRow,
  type ProgressSink,
  softmax,
} from "../core/mod.ts";
import { choiceLogits } from "../plugins/mod.ts";

/** How answers are read. */
export interface AnswerLogitsOptions {
  readonly batchSize: number;
  readonly progress: ProgressSink;
  /** Whether questions are turns of a chat. */
  readonly chat?: boolean;
  /** Divides the logits; 1 if absent. */
  readonly temperature?: number;
}

/**
 * The option whose letter the model finds likeliest, whatever it wrote, in place of its answer: the confidence is that
 * option's share of the softmax over all, and it is correct if it is the right one.
 */
export async function answerLogits(
  model: LanguageModel,
  rows: readonly Generation[],
  { temperature, ...options }: AnswerLogitsOptions,
): Promise<PredictionRow[]> {
  const judged: PredictionRow[] = [];
  for await (const { logits, target } of choiceLogits(model, rows, options)) {
    const shares = softmax(logits, temperature), pCorrect = Math.max(...shares);
    const row = rows[judged.length], chosen = shares.indexOf(pCorrect);
    judged.push({
      ...row,
      output: listedChoices(row)[chosen],
      label: chosen === target ? 1 : 0,
      pCorrect,
      logits: null,
    });
  }
  return judged;
}
