/** Writing answers: a KV cache, rows that enter when there is room and leave when they stop. */
import { UserError } from "../core/errors.ts";
import type { Continuation, GenerationOptions } from "../core/types.ts";
import { argmax } from "../kernels/argmax.ts";
import { sampleTopP } from "../kernels/sample_top_p.ts";
import { byteLength, type Tensor } from "../kernels/tensor.ts";
import { type CachedSequence, checkSequences, packCached, TOKENS_AT_ONCE } from "./batch.ts";
import { KeptAnswer } from "./kept_answer.ts";
import { type ActiveAdapter, linear } from "./linear.ts";
import type { Llama } from "./llama.ts";

/** Tokens for which there is room behind an answer that is kept: the question about it, and a few more. */
const KEPT_ROOM = 96;

/** A row that is being written. */
interface Row {
  readonly index: number;
  /** Place in the cache. */
  readonly slot: number;
  /** Tokens not yet in the cache: the prompt at first, then the last token written. */
  pending: readonly number[];
  cached: number;
  readonly written: number[];
  logprob: number;
}

/**
 * Continues prompts, up to `batchSize` at once.
 *
 * Each step takes all running rows forward by what they have pending: a prompt as a whole when a row enters, then one
 * token at a time. A row that writes a stop token or as much as it may, or that `onToken` ends, leaves and is
 * yielded.
 *
 * @param keep takes over the KV cache of an answer to a single prompt, before the answer is yielded
 * @throws {UserError} of kind `data` for a prompt that is empty, or too long for the answer to fit behind it
 */
export async function* generate(
  model: Llama,
  prompts: readonly (readonly number[])[],
  stopTokens: readonly number[],
  options: GenerationOptions,
  active?: Omit<ActiveAdapter, "rows">,
  keep?: (answer: KeptAnswer) => void,
): AsyncIterable<Continuation> {
  const { batchSize, maxNewTokens } = options;
  if (!(batchSize >= 1 && maxNewTokens >= 1)) {
    throw new RangeError(
      `generate() needs a batchSize and maxNewTokens from 1, got ${batchSize} and ${maxNewTokens}`,
    );
  }
  if (prompts.length === 0) return;
  const { gpu, description: { contextLength } } = model;
  checkSequences(prompts, contextLength - maxNewTokens);
  const stops = new Set(stopTokens);
  const longest = prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0);
  const keeps = keep !== undefined && prompts.length === 1;
  const slotTokens = longest + maxNewTokens + (keeps ? KEPT_ROOM : 0);
  const slots = Math.min(batchSize, prompts.length);
  const cache = createCache(model, slots, slotTokens);
  const free = Array.from({ length: slots }, (_, slot) => slots - 1 - slot);
  let rows: Row[] = [];
  let next = 0, isKept = false;
  try {
    while (rows.length > 0 || next < prompts.length) {
      let pending = rows.length;
      while (free.length > 0 && next < prompts.length) {
        if (pending > 0 && pending + prompts[next].length > TOKENS_AT_ONCE) break;
        pending += prompts[next].length;
        rows.push({
          index: next,
          slot: free.pop()!,
          pending: prompts[next++],
          cached: 0,
          written: [],
          logprob: 0,
        });
      }
      const sequences = rows.map(({ pending: tokens, cached, slot }): CachedSequence => ({
        tokens,
        cached,
        firstSlot: slot * slotTokens,
      }));
      const { tokens, logprobs } = await nextTokens(model, sequences, rows, cache, options, active);
      const running: Row[] = [];
      for (const [number, row] of rows.entries()) {
        row.cached += row.pending.length;
        row.logprob += logprobs[number];
        const token = tokens[number];
        const stopped = stops.has(token);
        let ends = stopped;
        if (!stopped) {
          row.written.push(token);
          ends = options.onToken?.(row.index, token) === false || row.written.length >= maxNewTokens;
        }
        if (ends) {
          free.push(row.slot);
          const { index, written, logprob } = row;
          if (keeps) {
            isKept = true;
            // The last token may not have been read.
            keep(new KeptAnswer(model, [...prompts[0], ...written].slice(0, row.cached), cache));
          }
          yield { index, tokens: written, logprob, drawn: written.length + (stopped ? 1 : 0) };
        } else {
          row.pending = [token];
          running.push(row);
        }
      }
      rows = running;
    }
  } finally {
    if (!isKept) gpu.free(...cache);
  }
}

/** Keys and values of every layer: `[slots · slotTokens, 2·K·D]` each. */
function createCache(model: Llama, slots: number, slotTokens: number): Tensor[] {
  const { gpu, description: { layers, kvHeads, headDim } } = model;
  const shape = [slots * slotTokens, 2 * kvHeads * headDim];
  const bytes = byteLength("f32", shape);
  if (bytes > gpu.adapter.maxBindingBytes) {
    const most = Math.floor(gpu.adapter.maxBindingBytes / (bytes / slots));
    throw new UserError({
      kind: "adapter",
      what:
        `The KV cache of ${slots} rows of ${slotTokens} tokens takes ${bytes} bytes a layer, but this adapter ` +
        `binds at most ${gpu.adapter.maxBindingBytes}`,
      where: `adapter "${gpu.adapter.description}"`,
      fix: most >= 1 ? `use --batch-size=${most} or less` : "use shorter prompts or fewer worked examples",
    });
  }
  return Array.from({ length: layers }, (_, layer) => gpu.tensor(`kv cache ${layer}`, "f32", shape));
}

/** One step of all rows: a token for each, and its log-probability in nats. */
async function nextTokens(
  model: Llama,
  sequences: readonly CachedSequence[],
  rows: readonly Row[],
  cache: readonly Tensor[],
  { temperature, topP, seed }: GenerationOptions,
  active?: Omit<ActiveAdapter, "rows">,
): Promise<{ tokens: Uint32Array; logprobs: Float32Array }> {
  const { gpu, weights: { head } } = model;
  const count = rows.length, vocabulary = head.rows, stride = Math.ceil(vocabulary / 4) * 4;
  const batch = packCached(gpu, { sequences, layers: cache, adapted: active !== undefined }, model.headGroup);
  const { hidden } = model.forward(batch, active && { ...active, rows: batch.adaptedRows });
  const logits = gpu.tensor("logits", "f32", [count, stride]);
  linear(gpu, head, hidden, count, { y: logits, stride, first: 0 });
  const tokens = gpu.tensor("tokens", "u32", [count]), logprobs = gpu.tensor("logprobs", "f32", [count]);
  if (temperature === 0) {
    gpu.run(argmax, { params: { rows: count, vocabulary, stride }, buffers: { logits, tokens, logprobs } });
  } else {
    // A row draws by its own number and its own count of tokens, so its answer does not depend on its neighbours.
    const counters = gpu.upload(
      "sampling",
      Uint32Array.from(rows, ({ index, written }) => index * 4096 + written.length),
    );
    gpu.run(sampleTopP, {
      params: { rows: count, vocabulary, stride, temperature, top_p: topP, seed, step: 0 },
      buffers: { logits, counters, tokens, logprobs },
    });
    gpu.free(counters);
  }
  batch.free();
  gpu.free(hidden, logits);
  const [ids, probabilities] = await gpu.read(tokens, logprobs);
  gpu.free(tokens, logprobs);
  return { tokens: ids as Uint32Array, logprobs: probabilities as Float32Array };
}
