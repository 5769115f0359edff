/** How likely given tokens are behind others: one pass over each sequence, and no logits but where they are wanted. */
import { dataError } from "../core/files.ts";
import type { ContinuationScore, ContinuedSequence } from "../core/types.ts";
import { tokenLogprobs } from "../kernels/token_logprobs.ts";
import type { LoraAdapter } from "./adapter.ts";
import { checkSequences, inBatches, packGroups } from "./batch.ts";
import type { Llama } from "./llama.ts";
import { logitLayout, vocabularyLogits } from "./vocabulary.ts";

/**
 * Log-probabilities and entropies of the tokens of each sequence, in order; `batchSize` sequences at most are read at once.
 *
 * @throws {UserError} of kind `data` for a sequence that is too long, or that has nothing in front of its tokens
 */
export async function* scoreContinuations(
  model: Llama,
  sequences: readonly ContinuedSequence[],
  batchSize: number,
  adapter?: LoraAdapter,
): AsyncIterable<ContinuationScore> {
  if (!(batchSize >= 1)) {
    throw new RangeError(`scoreContinuations() needs a batchSize from 1, got ${batchSize}`);
  }
  checkSequences(
    sequences.map(({ prefix, tokens }) => [...prefix, ...tokens]),
    model.description.contextLength,
  );
  const first = sequences.findIndex(({ prefix }) => prefix.length === 0);
  if (first >= 0) {
    throw dataError(
      "There is no token in front of those that are to be scored",
      `sequence ${first} of ${sequences.length}`,
      "begin it with the tokenizer's first token, or with a prompt",
    );
  }
  const lengthOf = ({ prefix, tokens }: ContinuedSequence) => prefix.length + tokens.length;
  for (const batch of inBatches(sequences, batchSize, lengthOf)) {
    yield* await scoreBatch(model, batch, adapter);
  }
}

async function scoreBatch(
  model: Llama,
  sequences: readonly ContinuedSequence[],
  adapter?: LoraAdapter,
): Promise<ContinuationScore[]> {
  const { gpu, weights: { head } } = model;
  // A token is predicted by the one before it, so the last one is not read.
  const groups = sequences.map(({ prefix, tokens }, id) => ({
    id,
    prefix: [...prefix, ...tokens.slice(0, -1)],
    branches: [],
  })).filter(({ id }) => sequences[id].tokens.length > 0);
  const ids = sequences.flatMap(({ tokens }) => tokens);
  if (ids.length === 0) return sequences.map(() => ({ logprobs: [], entropies: [] }));
  let end = 0;
  const outputs = groups.flatMap(({ id, prefix }) => {
    const { length } = sequences[id].tokens;
    end += prefix.length;
    return Array.from({ length }, (_, index) => end - length + index);
  });
  const [adapted, plain] = adapter ? [groups, []] : [[], groups];
  const batch = packGroups(gpu, { adapted, plain, outputs, backward: false }, model.headGroup);
  const { hidden } = model.forward(batch, adapter && { adapter, rows: batch.adaptedRows });
  batch.free();
  const { vocabulary, stride, perTurn } = logitLayout(head);
  const results = [];
  for (let first = 0; first < ids.length; first += perTurn) {
    const turn = Uint32Array.from(ids.slice(first, first + perTurn)), rows = turn.length;
    const index = gpu.upload("scored rows", turn.map((_, row) => first + row));
    const tokens = gpu.upload("scored tokens", turn);
    const logits = vocabularyLogits(gpu, head, hidden, index, stride);
    const logprobs = gpu.tensor("logprobs", "f32", [rows]),
      entropies = gpu.tensor("entropies", "f32", [rows]);
    gpu.run(tokenLogprobs, {
      params: { rows, vocabulary, stride },
      buffers: { logits, ids: tokens, logprobs, entropies },
    });
    gpu.free(index, tokens, logits);
    results.push(logprobs, entropies);
  }
  gpu.free(hidden);
  const values = await gpu.read(...results);
  gpu.free(...results);
  const logprobs = values.filter((_, index) => index % 2 === 0).flatMap((part) => [...part]);
  const entropies = values.filter((_, index) => index % 2 === 1).flatMap((part) => [...part]);
  let next = 0;
  return sequences.map(({ tokens: { length } }) => {
    const from = next;
    next += length;
    return { logprobs: logprobs.slice(from, next), entropies: entropies.slice(from, next) };
  });
}
