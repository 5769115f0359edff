/** What the methods have in common that ask the model whether its answer is correct. */
import {
  answerTokens,
  encodeWithin,
  type Generation,
  type LanguageModel,
  type MethodContext,
  queryText,
} from "../../core/mod.ts";

/** Logits of "no" and "yes" where the model is to say whether its answer is correct; with a checkpoint, its adapter's. */
export async function* predictQuery(
  model: LanguageModel,
  rows: readonly Generation[],
  { batchSize, checkpoint, progress }: MethodContext & { readonly checkpoint?: string },
): AsyncIterable<readonly [number, number]> {
  const tokens = answerTokens(model.tokenizer);
  const sequences = rows.map((row) =>
    encodeWithin(model.tokenizer, queryText(row), model.contextLength, row.id)
  );
  const adapter = checkpoint === undefined ? undefined : await model.loadAdapter(checkpoint);
  try {
    let done = 0;
    for await (const [wrong, correct] of model.tokenLogits(sequences, tokens, { batchSize, adapter })) {
      progress.update(++done, rows.length);
      yield [wrong, correct];
    }
  } finally {
    adapter?.free();
  }
}
