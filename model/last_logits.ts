/** Logits behind sequences, each read as little as it takes. */
import type { Tensor } from "../kernels/tensor.ts";
import { cutPath } from "./activation.ts";
import type { LoraAdapter } from "./adapter.ts";
import { packCached, type PackedBatch, packGroups } from "./batch.ts";
import type { KeptAnswer } from "./kept_answer.ts";
import type { Llama } from "./llama.ts";
import { logitsOf } from "./ops.ts";
import type { PrefixCache } from "./prefix_cache.ts";

/** What there is to read sequences with. */
export interface Reading {
  readonly adapter?: LoraAdapter;
  /** Where an adapter with invocation tokens has the frozen model put what stands before them. */
  readonly prefixes?: PrefixCache;
  /** An answer that a single sequence may go on from. */
  readonly answer?: KeptAnswer;
}

/** Logits of the tokens `ids` behind each sequence: `[sequences · tokens]`. */
export async function lastLogits(
  model: Llama,
  sequences: readonly (readonly number[])[],
  ids: Tensor,
  { adapter, prefixes, answer }: Reading,
): Promise<Float32Array> {
  const { gpu, headGroup, weights: { head } } = model;
  const [count] = ids.shape, invocation = adapter?.options.invocationTokens;
  const throughout = invocation ? undefined : adapter;
  const paths = sequences.map((tokens) => invocation && cutPath(tokens, invocation));
  const pack = (rows: readonly number[]): PackedBatch => {
    const [path] = rows.map((row) => paths[row]);
    const kept = sequences.length === 1 && !throughout
      ? answer?.pack(sequences[0], path?.frozen.length)
      : undefined;
    if (kept) return kept;
    if (!path) return packWhole(model, rows.map((row) => sequences[row]), throughout);
    const prepared = prefixes!.prepare(rows.map((row) => paths[row]!));
    return packCached(gpu, { ...prepared, adapted: true }, headGroup);
  };
  const values = new Float32Array(sequences.length * count);
  // Those on which the adapter acts from some token on, and those on which it acts throughout, or not at all.
  const parts = Object.groupBy(sequences.keys(), (row) => paths[row] ? "activated" : "whole");
  for (const rows of Object.values(parts)) {
    const batch = pack(rows);
    const { hidden } = model.forward(batch, adapter && { adapter, rows: batch.adaptedRows });
    const logits = logitsOf(gpu, head, hidden, ids, rows.length);
    batch.free();
    gpu.free(hidden);
    const found = await gpu.readF32(logits);
    gpu.free(logits);
    rows.forEach((row, index) => values.set(found.subarray(index * count, (index + 1) * count), row * count));
  }
  return values;
}

/** Whole sequences, each with its last token as output. */
function packWhole(
  { gpu, headGroup }: Llama,
  sequences: readonly (readonly number[])[],
  adapter?: LoraAdapter,
): PackedBatch {
  const groups = sequences.map((prefix, id) => ({ id, prefix, branches: [] }));
  let end = 0;
  const outputs = groups.map(({ prefix }) => (end += prefix.length) - 1);
  const [adapted, plain] = adapter ? [groups, []] : [[], groups];
  return packGroups(gpu, { adapted, plain, outputs, backward: false }, headGroup);
}
