/** A method's confidence in many answers, kept as it comes, so that a killed evaluation goes on where it was. */
import {
  type Calibrator,
  createRng,
  type Json,
  type Labeled,
  type LanguageModel,
  type Method,
  type Options,
  predictConfidence,
  type Prediction,
  type PromptStyle,
} from "../core/mod.ts";
import { collect } from "./_collect.ts";
import { countingModel, type TokenCount } from "./_counting_model.ts";
import { type ChosenLabeler, LabelerOnDemand } from "./_labeler.ts";

/** What is judged, and how. */
export interface Judging {
  readonly model: LanguageModel;
  readonly rows: readonly Labeled[];
  readonly method: Method;
  readonly options: Options;
  readonly checkpoint?: string;
  readonly calibrator?: Calibrator;
  readonly style: PromptStyle;
  /** Whether the answers were given in the model's chat template. */
  readonly chat?: boolean;
  readonly labeler: ChosenLabeler;
  readonly batchSize: number;
  readonly seed: number;
  /** Where confidences are kept meanwhile, and what decides them. */
  readonly journal: string;
  readonly inputs: Json;
  /** For the progress bar. */
  readonly title: string;
}

/**
 * Batches that a method without training is asked about at once: what a kill loses at most. A trained one is asked about
 * all rows at once, for it is quick, and opens its checkpoint each time.
 */
const BATCHES_AT_ONCE = 4;

/** What is kept of a row: its confidence, and the tokens that the model read and wrote since the row before. */
type Kept = Pick<Prediction, "logits" | "pCorrect"> & { readonly tokens: TokenCount };

/** Asks a method for its confidence in all rows, and hands these to `use`, with the tokens that they took. */
export async function judge<R>(
  { model, rows, method, options, checkpoint, calibrator, style, chat, labeler, batchSize, seed, ...kept }:
    Judging,
  use: (predictions: readonly Prediction[], tokens: TokenCount) => Promise<R>,
): Promise<R> {
  await using comparing = new LabelerOnDemand(labeler);
  const atOnce = method.train ? rows.length : BATCHES_AT_ONCE * batchSize;
  const confidences = {
    ...kept,
    total: rows.length,
    async *produce(todo: readonly number[]) {
      const wanted = new Set(todo);
      // What a part comes to depends on its own rows alone, so that it is the same after an interruption.
      for (let start = 0; start < rows.length; start += atOnce) {
        const part = rows.slice(start, start + atOnce);
        if (!part.some((_, index) => wanted.has(start + index))) continue;
        const counting = countingModel(model, part);
        const context = {
          options,
          rng: createRng(seed).split("predict").split(`rows from ${start}`),
          batchSize,
          progress: { update() {} },
          checkpoint,
          style,
          chat,
          label: comparing.label,
        };
        let index = start, before: TokenCount = { read: 0, written: 0, kept: 0 };
        for await (
          const { logits, pCorrect } of predictConfidence(counting.model, part, method, context, calibrator)
        ) {
          const now = { ...counting.count }, tokens = combined(now, before, -1);
          before = now;
          if (wanted.has(index)) yield { index, value: { logits, pCorrect, tokens } };
          index++;
        }
      }
    },
  };
  return await collect<Kept, R>(confidences, (found) => {
    const predictions = found.map(({ logits, pCorrect }, index) => ({ ...rows[index], logits, pCorrect }));
    const none: TokenCount = { read: 0, written: 0, kept: 0 };
    return use(predictions, found.reduce((sum, { tokens }) => combined(sum, tokens, 1), none));
  });
}

const combined = (a: TokenCount, b: TokenCount, sign: 1 | -1): TokenCount => ({
  read: a.read + sign * b.read,
  written: a.written + sign * b.written,
  kept: a.kept + sign * b.kept,
});
