import type { LoraAdapter } from "../../model/adapter.ts";
import { cutPath } from "../../model/activation.ts";
import { packCached, packGroups } from "../../model/batch.ts";
import { linear } from "../../model/linear.ts";
import type { Llama } from "../../model/llama.ts";
import { PrefixCache } from "../../model/prefix_cache.ts";

/** Logits behind every token of a sequence, from one pass over all of it. */
export async function allLogits(
  model: Llama,
  tokens: readonly number[],
  adapter?: LoraAdapter,
): Promise<Float32Array[]> {
  const { gpu, weights: { head } } = model;
  const vocabulary = head.rows, stride = Math.ceil(vocabulary / 4) * 4, rows = tokens.length;
  const groups = [{ id: 0, prefix: tokens, branches: [] }];
  const [adapted, plain] = adapter ? [groups, []] : [[], groups];
  const batch = packGroups(
    gpu,
    { adapted, plain, outputs: [...tokens.keys()], backward: false },
    model.headGroup,
  );
  const { hidden } = model.forward(batch, adapter && { adapter, rows });
  const logits = gpu.tensor("logits", "f32", [rows, stride]);
  linear(gpu, head, hidden, rows, { y: logits, stride, first: 0 });
  const values = await gpu.readF32(logits);
  batch.free();
  gpu.free(hidden, logits);
  return tokens.map((_, row) => values.slice(row * stride, row * stride + vocabulary));
}

/** Logits behind the last token of sequences, on each of which an adapter acts from its invocation tokens on. */
export async function activatedLogits(
  model: Llama,
  sequences: readonly (readonly number[])[],
  adapter: LoraAdapter,
  prefixes: PrefixCache = new PrefixCache(model, 0),
): Promise<Float32Array[]> {
  const { gpu, weights: { head }, headGroup } = model;
  const vocabulary = head.rows, stride = Math.ceil(vocabulary / 4) * 4;
  const paths = sequences.map((tokens) => cutPath(tokens, adapter.options.invocationTokens!)!);
  const batch = packCached(gpu, { ...prefixes.prepare(paths), adapted: true }, headGroup);
  const { hidden } = model.forward(batch, { adapter, rows: batch.adaptedRows });
  const logits = gpu.tensor("logits", "f32", [paths.length, stride]);
  linear(gpu, head, hidden, paths.length, { y: logits, stride, first: 0 });
  const values = await gpu.readF32(logits);
  batch.free();
  gpu.free(hidden, logits);
  prefixes.free();
  return paths.map((_, row) => values.slice(row * stride, row * stride + vocabulary));
}

/** Log-probability of a token in nats. */
export function logProbability(logits: Float32Array, token: number): number {
  const largest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const sum = logits.reduce((total, value) => total + Math.exp(value - largest), 0);
  return logits[token] - largest - Math.log(sum);
}
