/** Speed of the embedded model: prefill, decode and training. */
import { createRng, type TrainingExample } from "../core/mod.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { generate } from "../model/generator.ts";
import type { OpenModel } from "../model/language_model.ts";

/** Rows of a batch that are decoded at once, beside a single one. */
const BATCH = 64;

/** Tokens of a prompt and of an answer; and of one training example: prompt, query behind it, target behind it. */
const PROMPT = 32, ANSWER = 20, QUERY = 30, TARGET = 2;

const TRAINING_BATCH = 16;

/** Figures of decoding at one batch size. */
export interface DecodeResult {
  readonly rows: number;
  readonly tokensPerSecond: number;
  readonly msPerStep: number;
  readonly dispatchesPerStep: number;
  /** A step decodes one token of each row. */
  readonly dispatchesPerToken: number;
  readonly submitsPerStep: number;
  /**
   * Wall time of a step less the GPU's time for its kernels, both in their fastest round, in ms. It is 0 where other
   * programs on the machine make more of a difference, and null without timestamps.
   */
  readonly msOutsideGpu: number | null;
}

/** Figures of the embedded model. */
export interface ModelResult {
  readonly parameters: number;
  readonly prefillTokensPerSecond: number;
  readonly decode: readonly DecodeResult[];
  readonly trainingExamplesPerSecond: number;
  readonly trainingTokensPerExample: number;
  /** Time of a step of `query-lora` as a share of one of `lora-prompt` on the same prompts and queries. */
  readonly queryLora: {
    readonly queryTokens: number;
    /** Where no prompt has been read yet, and where all are in the cache. */
    readonly firstEpoch: number;
    readonly laterEpochs: number;
  };
}

/** Times the model's three jobs. */
export async function benchModel(gpu: Gpu, model: OpenModel, rounds: number): Promise<ModelResult> {
  const { width, layers, heads, kvHeads, headDim, feedForward, vocabulary } = model.description;
  const perLayer = width * headDim * (2 * heads + 2 * kvHeads) + 3 * width * feedForward;
  return {
    parameters: layers * perLayer + vocabulary * width,
    prefillTokensPerSecond: await benchPrefill(model, rounds),
    decode: [await benchDecode(gpu, model, 1, rounds), await benchDecode(gpu, model, BATCH, rounds)],
    ...await benchTraining(model, rounds),
  };
}

async function benchPrefill(model: OpenModel, rounds: number): Promise<number> {
  const prompts = tokens(model, BATCH, PROMPT);
  const time = await median(rounds, async () => {
    for await (const _ of model.tokenLogits(prompts, [1, 2], { batchSize: BATCH })) { /* drained */ }
  });
  return 1000 * BATCH * PROMPT / time;
}

/** The difference between long and short answers, so that prefill and set-up do not count. */
async function benchDecode(gpu: Gpu, model: OpenModel, rows: number, rounds: number): Promise<DecodeResult> {
  const prompts = tokens(model, rows, PROMPT);
  // Without stop tokens, so that all rows write as many tokens.
  const write = async (maxNewTokens: number) => {
    const options = { maxNewTokens, batchSize: rows, temperature: 0, topP: 1, seed: 1 };
    for await (const _ of generate(model.transformer, prompts, [], options)) { /* drained */ }
  };
  const steps = ANSWER - 1;
  const measure = async (value: () => number) => {
    const start = value();
    await write(1);
    const middle = value();
    await write(ANSWER);
    return (value() - middle) - (middle - start);
  };
  await write(2);
  const dispatches = await measure(() => gpu.counts.dispatches);
  const submits = await measure(() => gpu.counts.submits);
  const walls: number[] = [], kernels: number[] = [];
  for (let round = 0; round < rounds; round++) {
    walls.push(await measure(() => performance.now()));
    kernels.push(
      await gpuMilliseconds(gpu, () => write(ANSWER)) - await gpuMilliseconds(gpu, () => write(1)),
    );
  }
  const wall = middle(walls);
  const outside = Math.max(0, Math.min(...walls) - Math.min(...kernels));
  return {
    rows,
    tokensPerSecond: 1000 * rows * steps / wall,
    msPerStep: wall / steps,
    dispatchesPerStep: dispatches / steps,
    dispatchesPerToken: dispatches / steps / rows,
    submitsPerStep: submits / steps,
    msOutsideGpu: Number.isNaN(outside) ? null : outside / steps,
  };
}

/** A step of `lora-prompt`, and of `query-lora` on the same tokens, in turn. */
async function benchTraining(model: OpenModel, rounds: number) {
  const sequences = (seed: number) => tokens(model, TRAINING_BATCH, PROMPT + QUERY + TARGET, seed);
  const [first] = sequences(1);
  const query = first.slice(PROMPT, PROMPT + QUERY);
  const examples = sequences(1).map((ids, id): TrainingExample => ({
    id,
    prefix: ids.slice(0, PROMPT),
    branches: [query, ids.slice(PROMPT + QUERY)],
    losses: [choiceLoss(id), { kind: "divergence", branch: 1, count: TARGET, type: "jsd", weight: 1 }],
  }));
  const asked = (seed: number) =>
    sequences(seed).map((ids, id): TrainingExample => ({
      id,
      prefix: ids.slice(0, PROMPT),
      branches: [query],
      losses: [choiceLoss(id)],
    }));
  const lora = { rank: 8, alpha: 32, dropout: 0.1, targetModules: ["q_proj", "v_proj"] };
  const adamw = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 };
  const adapters = [
    await model.createAdapter(lora, createRng(1)),
    await model.createAdapter({ ...lora, invocationTokens: query }, createRng(1)),
  ];
  const [whole, activated] = adapters.map((adapter) => model.createTrainer(adapter, adamw, 1));
  const times: Record<"whole" | "unread" | "read", number[]> = { whole: [], unread: [], read: [] };
  for (let round = -1; round < rounds; round++) {
    // Other prompts each round, of which nothing has been read; then the same again, as in the next epoch.
    const fresh = asked(2 + round);
    for (
      const [name, step] of [
        ["whole", () => whole.train([examples], 1e-4)],
        ["unread", () => activated.train([fresh], 1e-4)],
        ["read", () => activated.train([fresh], 1e-4)],
      ] as const
    ) {
      const start = performance.now();
      await step();
      if (round >= 0) times[name].push(performance.now() - start);
    }
  }
  [whole, activated, ...adapters].forEach((item) => item.free());
  const shareOf = (name: "unread" | "read") =>
    middle(times[name].map((time, round) => time / times.whole[round]));
  return {
    trainingExamplesPerSecond: 1000 * TRAINING_BATCH / middle(times.whole),
    trainingTokensPerExample: PROMPT + QUERY + TARGET,
    queryLora: { queryTokens: QUERY, firstEpoch: shareOf("unread"), laterEpochs: shareOf("read") },
  };
}

const choiceLoss = (id: number) =>
  ({ kind: "choice", branch: 0, tokens: [1, 2], label: id % 2, smoothing: 0, weight: 1 }) as const;

/** The GPU's time for all kernels that `work` runs; NaN without timestamps, or where they are too few for all. */
async function gpuMilliseconds(gpu: Gpu, work: () => Promise<void>): Promise<number> {
  const before = gpu.counts.dispatches;
  const kernels = [...(await gpu.profile(work)).values()];
  const timed = kernels.reduce((sum, { calls }) => sum + calls, 0);
  if (timed < gpu.counts.dispatches - before) return NaN;
  return kernels.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0) / 1e6;
}

async function median(rounds: number, run: () => Promise<void>): Promise<number> {
  await run();
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await run();
    samples.push(performance.now() - start);
  }
  return middle(samples);
}

function middle(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)];
}

function tokens(model: OpenModel, rows: number, length: number, seed = 1): number[][] {
  const rng = createRng(seed);
  return Array.from(
    { length: rows },
    () => Array.from({ length }, () => rng.integer(model.description.vocabulary)),
  );
}
