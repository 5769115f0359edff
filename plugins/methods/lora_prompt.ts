/**
 * LoRA+Prompt (arXiv 2406.08391): an adapter is trained so that the model answers "Is the proposed answer correct?"
 * about its own answers, while it goes on answering as before.
 */
import { join } from "node:path";
import {
  type Adapter,
  answeredText,
  answerTokens,
  dataError,
  type DivergenceType,
  encodeWithin,
  exists,
  type Generation,
  type Labeled,
  type LanguageModel,
  type Method,
  type MethodContext,
  type OptimizerOptions,
  promptText,
  queryText,
  type Rng,
  type Trainer,
  type TrainingContext,
  type TrainingExample,
  type TrainingRows,
  UserError,
  writeJsonAtomic,
} from "../../core/mod.ts";

/** Options of {@linkcode loraPrompt}; the defaults are the research code's recipe. */
export interface LoraPromptOptions {
  /** Rank of the adapter. */
  readonly loraRank: number;
  /** The adapter's product is scaled by alpha / rank. */
  readonly loraAlpha: number;
  /** Share of inputs dropped in front of the adapter while it is trained. */
  readonly loraDropout: number;
  /** Linear layers that are adapted. */
  readonly targetModules: readonly string[];
  /** Highest learning rate, per step. */
  readonly lr: number;
  /** Share of the steps over which the learning rate rises from 0. */
  readonly warmupRatio: number;
  /** Weight of the divergence from the frozen model on the right answer's tokens; 0 leaves it out. */
  readonly klDecay: number;
  /** `jsd`, `forward_kl` (frozen‖tuned) or `reverse_kl` (tuned‖frozen). */
  readonly klType: DivergenceType;
  /** Share of the label that is spread over both answers. */
  readonly labelSmoothing: number;
}

/** AdamW as the research code sets it. */
const OPTIMIZER: OptimizerOptions = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradientNorm: 1,
};

/** Values of `klType`. */
const DIVERGENCES: readonly DivergenceType[] = ["jsd", "forward_kl", "reverse_kl"];

/** Checkpoints, and looks at the validation rows, over one training. */
const CHECKPOINTS = 10;

/** What is written last into a checkpoint: one without it is not complete. */
const LAST_FILE = "trainer_state.json";

/** Validation rows that are looked at while training: enough to see a trend. */
const VALIDATION_ROWS = 200;

/** The method of the paper. */
export const loraPrompt: Method<LoraPromptOptions> = {
  kind: "method",
  name: "lora-prompt",
  version: 1,
  description: "LoRA+Prompt: an adapter that answers whether the proposed answer is correct",
  defaults: {
    loraRank: 8,
    loraAlpha: 32,
    loraDropout: 0.1,
    targetModules: ["q_proj", "v_proj"],
    lr: 1e-4,
    warmupRatio: 0,
    klDecay: 1,
    klType: "jsd",
    labelSmoothing: 0,
  },
  train,
  predict,
};

async function train(
  model: LanguageModel,
  rows: TrainingRows,
  context: TrainingContext<LoraPromptOptions>,
): Promise<string> {
  const { options, rng, batchSize, maxSteps, folder, progress, log, signal } = context;
  checkOptions(options);
  const trainRows = decided(rows.train);
  checkClasses(trainRows);
  const tokens = answerTokens(model.tokenizer);
  const examples = trainRows.map((row, id) => example(model, row, id, tokens, options));
  const validation = decided(rows.validation).slice(0, VALIDATION_ROWS)
    .map((row, id) => example(model, row, examples.length + id, tokens, options));

  const newest = await newestCheckpoint(folder);
  const { adapter, trainer } = await resume(model, context, newest);
  try {
    const every = Math.ceil(maxSteps / CHECKPOINTS);
    let last = newest;
    while (trainer.step < maxSteps) {
      const batch = batchOf(examples, trainer.step, batchSize, rng);
      const learningRate = schedule(trainer.step, maxSteps, options);
      const losses = await trainer.train([batch], learningRate);
      const loss = losses.choice + options.klDecay * losses.divergence;
      if (!Number.isFinite(loss)) {
        throw diverged(trainer.step, loss, batch.map(({ id }) => trainRows[id].id), last);
      }
      log(trainer.step, {
        loss,
        q_loss: losses.choice,
        kl_loss: losses.divergence,
        learning_rate: learningRate,
        gradient_norm: losses.gradientNorm,
      });
      progress.update(trainer.step, maxSteps, `loss ${loss.toFixed(3)}`);
      const stopped = signal?.aborted ?? false, due = trainer.step % every === 0 || trainer.step === maxSteps;
      if (due || stopped) {
        if (due && validation.length > 0) {
          const { choice, divergence } = await evaluateInBatches(trainer, validation, batchSize);
          log(trainer.step, { eval_q_loss: choice, eval_kl_loss: divergence });
        }
        last = await saveCheckpoint(model, adapter, trainer, folder);
        if (trainer.step < maxSteps) signal?.throwIfAborted();
      }
    }
    return last ?? await saveCheckpoint(model, adapter, trainer, folder);
  } finally {
    trainer.free();
    adapter.free();
  }
}

async function* predict(
  model: LanguageModel,
  rows: readonly Generation[],
  { batchSize, checkpoint, progress }: MethodContext<LoraPromptOptions> & { readonly checkpoint?: string },
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

/**
 * One row as two continuations of the prompt: the question about the model's answer, and the right answer, on whose
 * tokens the model is to stay as it was. What the two have in common is computed once.
 */
function example(
  model: LanguageModel,
  row: Labeled,
  id: number,
  tokens: readonly [number, number],
  { klDecay, klType, labelSmoothing }: LoraPromptOptions,
): TrainingExample {
  const encode = (text: string) => encodeWithin(model.tokenizer, text, model.contextLength, row.id);
  const query = encode(queryText(row));
  const choice = {
    kind: "choice",
    branch: 0,
    tokens,
    label: row.label!,
    smoothing: labelSmoothing,
    weight: 1,
  } as const;
  if (klDecay <= 0) return { id, prefix: query, branches: [[]], losses: [choice] };
  const target = encode(answeredText(row, row.target));
  // As in the research code: the target's tokens are those by which the text grew.
  const count = Math.max(1, target.length - encode(promptText(row)).length);
  let shared = 0;
  while (shared < query.length && shared < target.length && query[shared] === target[shared]) shared++;
  return {
    id,
    prefix: query.slice(0, shared),
    branches: [query.slice(shared), target.slice(shared)],
    losses: [choice, { kind: "divergence", branch: 1, count, type: klType, weight: klDecay }],
  };
}

function decided(rows: readonly Labeled[]): readonly Labeled[] {
  return rows.filter(({ label }) => label !== null);
}

/** Refuses values with which nothing could be learned, before the first token is read. */
function checkOptions(options: LoraPromptOptions): void {
  const { loraRank, loraAlpha, loraDropout, targetModules, lr } = options;
  const { warmupRatio, klDecay, klType, labelSmoothing } = options;
  const limits: readonly (readonly [keyof LoraPromptOptions, boolean, string])[] = [
    ["loraRank", Number.isInteger(loraRank) && loraRank >= 1, "a whole number from 1"],
    ["loraAlpha", loraAlpha > 0, "a number above 0"],
    ["loraDropout", loraDropout >= 0 && loraDropout < 1, "a number from 0 to below 1"],
    ["targetModules", targetModules.length > 0, "at least one layer, as in q_proj,v_proj"],
    ["lr", lr > 0, "a number above 0"],
    ["warmupRatio", warmupRatio >= 0 && warmupRatio <= 1, "a number from 0 to 1"],
    ["klDecay", klDecay >= 0, "a number from 0"],
    ["klType", DIVERGENCES.includes(klType), `one of ${DIVERGENCES.join(", ")}`],
    ["labelSmoothing", labelSmoothing >= 0 && labelSmoothing <= 1, "a number from 0 to 1"],
  ];
  for (const [key, holds, wanted] of limits) {
    if (holds) continue;
    throw new UserError({
      kind: "usage",
      what: `Option "${key}" is ${JSON.stringify(options[key])}`,
      where: 'options of method "lora-prompt"',
      fix: `give ${wanted}`,
    });
  }
}

function checkClasses(rows: readonly Labeled[]): void {
  const labels = new Set(rows.map(({ label }) => label));
  if (labels.size === 2) return;
  throw dataError(
    labels.size === 0 ? "No training row has a label" : `All training rows are labelled ${[...labels][0]}`,
    "training rows",
    "give rows with both correct and wrong answers: more questions, or another model or labeler",
  );
}

/** The rows of a step: each epoch has an order of its own, which depends on the seed and the epoch only. */
function batchOf(
  examples: readonly TrainingExample[],
  step: number,
  size: number,
  rng: Rng,
): TrainingExample[] {
  const first = step * size;
  const orders = new Map<number, readonly number[]>();
  return Array.from({ length: size }, (_, offset) => {
    const epoch = Math.floor((first + offset) / examples.length);
    let order = orders.get(epoch);
    if (!order) orders.set(epoch, order = rng.split(`epoch ${epoch}`).permutation(examples.length));
    return examples[order[(first + offset) % examples.length]];
  });
}

/** Linear warm-up, then half a cosine down to 0. */
function schedule(step: number, maxSteps: number, { lr, warmupRatio }: LoraPromptOptions): number {
  const warmup = Math.ceil(warmupRatio * maxSteps);
  if (step < warmup) return lr * step / warmup;
  return lr * 0.5 * (1 + Math.cos(Math.PI * (step - warmup) / Math.max(1, maxSteps - warmup)));
}

async function evaluateInBatches(trainer: Trainer, examples: readonly TrainingExample[], batchSize: number) {
  const total = { choice: 0, divergence: 0 };
  for (let start = 0; start < examples.length; start += batchSize) {
    const batch = examples.slice(start, start + batchSize);
    const { choice, divergence } = await trainer.evaluate(batch);
    total.choice += choice * batch.length / examples.length;
    total.divergence += divergence * batch.length / examples.length;
  }
  return total;
}

/** Takes up a checkpoint, or starts anew where there is none. */
async function resume(
  model: LanguageModel,
  { options, rng }: TrainingContext<LoraPromptOptions>,
  newest: string | undefined,
): Promise<{ adapter: Adapter; trainer: Trainer }> {
  const seed = rng.split("dropout").integer(2 ** 32 - 1);
  const adapter = newest === undefined
    ? await model.createAdapter(
      {
        rank: options.loraRank,
        alpha: options.loraAlpha,
        dropout: options.loraDropout,
        targetModules: options.targetModules,
      },
      rng.split("adapter"),
    )
    : await model.loadAdapter(newest);
  const trainer = model.createTrainer(adapter, OPTIMIZER, seed);
  if (newest !== undefined) await trainer.load(newest);
  return { adapter, trainer };
}

/** The folder is written under another name and renamed when complete, so what has its name is whole. */
async function saveCheckpoint(
  model: LanguageModel,
  adapter: Adapter,
  trainer: Trainer,
  folder: string,
): Promise<string> {
  const path = join(folder, `checkpoint-${trainer.step}`), temporary = `${path}.tmp`;
  if (await exists(temporary)) await Deno.remove(temporary, { recursive: true });
  await model.saveAdapter(adapter, temporary);
  await trainer.save(temporary);
  await writeJsonAtomic(join(temporary, LAST_FILE), { global_step: trainer.step });
  if (await exists(path)) await Deno.remove(path, { recursive: true });
  await Deno.rename(temporary, path);
  return path;
}

async function newestCheckpoint(folder: string): Promise<string | undefined> {
  if (!await exists(folder)) return undefined;
  const steps: number[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
    if (step !== undefined) steps.push(Number(step));
  }
  for (const step of steps.toSorted((a, b) => b - a)) {
    const path = join(folder, `checkpoint-${step}`);
    if (await exists(join(path, LAST_FILE))) return path;
  }
  return undefined;
}

function diverged(step: number, loss: number, rows: readonly string[], last: string | undefined): Error {
  const left = last === undefined ? "there is no checkpoint yet" : `the last good checkpoint is ${last}`;
  return dataError(
    `The loss of step ${step} is ${loss}`,
    `training rows ${rows.join(", ")}`,
    `use a lower --lr; ${left}`,
  );
}
