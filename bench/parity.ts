/** How far our numbers are from those of transformers and PEFT, on the small models that were recorded with them. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type ModelFamily,
  type OptimizerOptions,
  readJson,
  type TrainingExample,
  type TransformerDescription,
} from "../core/mod.ts";
import type { Gpu } from "../kernels/gpu.ts";
import type { LoraAdapter } from "../model/adapter.ts";
import { packGroups } from "../model/batch.ts";
import { Checkpoint } from "../model/checkpoint.ts";
import { generate } from "../model/generator.ts";
import { linear } from "../model/linear.ts";
import { Llama } from "../model/llama.ts";
import { loadAdapter } from "../model/peft.ts";
import { SafetensorsFile } from "../model/safetensors.ts";
import { LoraTrainer } from "../model/trainer.ts";
import { allTensors, loadWeights, type WeightType } from "../model/weights.ts";

const GOLDEN = fileURLToPath(new URL("../tests/golden/", import.meta.url));

/** The recorded models, by folder of `tests/golden`. */
export const PARITY_CASES: readonly string[] = [
  "llama/mha-f32",
  "llama/gqa2-bf16",
  "llama/gqa4-f16",
  "families/llama-linear",
  "families/llama-dynamic",
  "families/llama-llama3",
  "families/llama-yarn",
  "families/llama-biases",
  "families/mistral-window",
  "families/qwen2-window",
  "families/mixtral",
  "families/mixtral-bf16",
];

/** Differences from the reference, the largest of all that was recorded. */
export interface Parity {
  readonly name: string;
  /** Of a logit, relative to the largest of its row. */
  readonly logits: number;
  /** Of a hidden state, relative to the largest of its row. */
  readonly hidden: number;
  /** Tokens of greedy continuations that are equal, and all. */
  readonly greedy: readonly [number, number];
  /** Of a LoRA gradient, relative to the largest of its matrix. */
  readonly gradient: number;
  /** Mean KL of the model as stored to the quantised one, in nats; null where rows cannot be quantised. */
  readonly int8: number | null;
  readonly int4: number | null;
}

/** What the recording holds, as far as it is read here. */
interface Recorded {
  readonly sequences: readonly {
    readonly tokens: number[];
    readonly logits: number[];
    readonly logits_adapter: number[];
    readonly hidden?: number[];
  }[];
  readonly greedy: readonly {
    readonly prompt: number[];
    readonly continuation: number[];
    readonly continuation_adapter: number[];
  }[];
  readonly training: {
    readonly jsd: { readonly examples: readonly TrainingExample[]; readonly optimizer: OptimizerOptions };
  };
}

/** Measures one recorded model. */
export async function measureParity(
  gpu: Gpu,
  name: string,
  families: readonly ModelFamily[],
): Promise<Parity> {
  const folder = join(GOLDEN, name);
  const recorded = await readJson(join(folder, "expected.json")) as Recorded;
  const config = await readJson(join(folder, "model", "config.json")) as Record<string, unknown>;
  const family = families.find(({ modelTypes }) => modelTypes.includes(config.model_type as string))!;
  const description = family.describe(config);
  const open = <T>(dtype: WeightType, work: (model: Llama) => Promise<T>) =>
    withModel(gpu, join(folder, "model"), description, dtype, work);
  const stored = await open("auto", async (model) => {
    const adapter = await loadAdapter(gpu, description, join(folder, "adapter"));
    try {
      return {
        ...await forwardErrors(model, recorded, adapter),
        greedy: await greedyAgreement(model, recorded, adapter),
        gradient: await gradientError(model, recorded, adapter, folder),
        rows: await allLogits(model, recorded.sequences),
      };
    } finally {
      adapter.free();
    }
  });
  const { rows, ...errors } = stored;
  const kl = async (dtype: WeightType) =>
    quantisable(description)
      ? meanKl(rows, await open(dtype, (model) => allLogits(model, recorded.sequences)))
      : null;
  return { name, ...errors, int8: await kl("int8"), int4: await kl("int4") };
}

function quantisable({ width, heads, headDim, feedForward }: TransformerDescription): boolean {
  return [width, heads * headDim, feedForward].every((depth) => depth % 16 === 0);
}

async function withModel<T>(
  gpu: Gpu,
  folder: string,
  description: TransformerDescription,
  dtype: WeightType,
  work: (model: Llama) => Promise<T>,
): Promise<T> {
  using checkpoint = await Checkpoint.open(folder);
  const weights = await loadWeights(gpu, checkpoint, description, { dtype });
  const model = new Llama(gpu, description, weights);
  try {
    return await work(model);
  } finally {
    model.free();
    gpu.free(...allTensors(weights));
  }
}

/** Hidden states and logits of some rows of sequences in one batch. */
async function run(
  model: Llama,
  sequences: readonly (readonly number[])[],
  outputs: readonly number[],
  adapter?: LoraAdapter,
): Promise<{ hidden: Float32Array[]; logits: Float32Array[] }> {
  const { gpu, description: { width, vocabulary } } = model;
  const groups = sequences.map((prefix, id) => ({ id, prefix, branches: [] }));
  const [adapted, plain] = adapter ? [groups, []] : [[], groups];
  const batch = packGroups(gpu, { adapted, plain, outputs, backward: false }, model.headGroup);
  const { hidden } = model.forward(batch, adapter && { adapter, rows: batch.adaptedRows });
  const logits = gpu.tensor("logits", "f32", [outputs.length, vocabulary]);
  linear(gpu, model.weights.head, hidden, outputs.length, { y: logits, stride: vocabulary, first: 0 });
  const values = [await gpu.readF32(hidden), await gpu.readF32(logits)];
  batch.free();
  gpu.free(hidden, logits);
  const rows = (all: Float32Array, size: number) =>
    outputs.map((_, index) => all.slice(index * size, (index + 1) * size));
  return { hidden: rows(values[0], width), logits: rows(values[1], vocabulary) };
}

/** Logits and hidden states behind sequences of mixed length in one batch. */
async function forwardErrors(model: Llama, { sequences }: Recorded, adapter: LoraAdapter) {
  let end = 0;
  const lasts = sequences.map(({ tokens }) => (end += tokens.length) - 1);
  const tokens = sequences.map(({ tokens }) => tokens);
  const plain = await run(model, tokens, lasts), tuned = await run(model, tokens, lasts, adapter);
  return {
    logits: Math.max(...sequences.flatMap((expected, index) => [
      relativeError(plain.logits[index], expected.logits),
      relativeError(tuned.logits[index], expected.logits_adapter),
    ])),
    hidden: Math.max(
      ...sequences.map(({ hidden }, index) => hidden ? relativeError(plain.hidden[index], hidden) : 0),
    ),
  };
}

async function greedyAgreement(
  model: Llama,
  { greedy }: Recorded,
  adapter: LoraAdapter,
): Promise<readonly [number, number]> {
  let equal = 0, all = 0;
  for (const active of [undefined, { adapter }]) {
    const options = {
      maxNewTokens: greedy[0].continuation.length,
      batchSize: 3,
      temperature: 0,
      topP: 1,
      seed: 1,
    };
    for await (
      const { index, tokens } of generate(
        model,
        greedy.map(({ prompt }) => prompt),
        [],
        options,
        active,
      )
    ) {
      const expected = active ? greedy[index].continuation_adapter : greedy[index].continuation;
      equal += expected.filter((token, at) => tokens[at] === token).length;
      all += expected.length;
    }
  }
  return [equal, all];
}

async function gradientError(
  model: Llama,
  recorded: Recorded,
  adapter: LoraAdapter,
  folder: string,
): Promise<number> {
  const { examples, optimizer } = recorded.training.jsd;
  const trainer = new LoraTrainer(model, adapter, optimizer, 1);
  await trainer.train([examples], 0);
  const gradient = await trainer.gradient();
  trainer.free();
  using file = await SafetensorsFile.open(join(folder, "gradients_jsd.safetensors"));
  let error = 0;
  for (const { layer, name, inputs, outputs, rank, paddedRank, aFirst, bFirst } of adapter.sites) {
    const block = /^[qkvo]_/.test(name) ? "self_attn" : "mlp";
    const prefix = `base_model.model.model.layers.${layer}.${block}.${name}`;
    const expected = async (matrix: string) =>
      await file.values(file.tensors.get(`${prefix}.lora_${matrix}.weight`)!);
    const a = gradient.subarray(aFirst, aFirst + rank * inputs);
    const b = Float32Array.from(
      { length: outputs * rank },
      (_, at) => gradient[bFirst + Math.floor(at / rank) * paddedRank + at % rank],
    );
    error = Math.max(error, relativeError(a, await expected("A")), relativeError(b, await expected("B")));
  }
  return error;
}

/** Logits behind every token of every sequence. */
export async function allLogits(
  model: Llama,
  sequences: readonly { readonly tokens: readonly number[] }[],
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (const { tokens } of sequences) rows.push(...(await run(model, [tokens], [...tokens.keys()])).logits);
  return rows;
}

/** Mean KL of the first logits' distributions to the second's, in nats. */
export function meanKl(first: readonly Float32Array[], second: readonly Float32Array[]): number {
  const total = first.reduce((sum, row, index) => {
    const p = logProbabilities(row), q = logProbabilities(second[index]);
    return sum + p.reduce((kl, log, token) => kl + Math.exp(log) * (log - q[token]), 0);
  }, 0);
  return total / first.length;
}

function logProbabilities(logits: Float32Array): Float64Array {
  const largest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const sum = logits.reduce((total, value) => total + Math.exp(value - largest), 0);
  return Float64Array.from(logits, (value) => value - largest - Math.log(sum));
}

/** The largest difference, relative to the largest expected magnitude. */
function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0, largest = 0;
  for (let index = 0; index < expected.length; index++) {
    difference = Math.max(difference, Math.abs(got[index] - expected[index]));
    largest = Math.max(largest, Math.abs(expected[index]));
  }
  return difference / largest;
}
