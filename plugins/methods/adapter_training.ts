/** What methods that train an adapter have in common: the loop over steps, its checkpoints, and going on from one. */
import { join } from "node:path";
import {
  type Adapter,
  dataError,
  exists,
  type Labeled,
  type LanguageModel,
  type OptimizerOptions,
  type Rng,
  type Trainer,
  type TrainingContext,
  type TrainingExample,
  UserError,
  writeJsonAtomic,
} from "../../core/mod.ts";

/** Options of every method that trains an adapter; the defaults are the research code's recipe. */
export interface AdapterTrainingOptions {
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
}

/** The research code's recipe. */
export const ADAPTER_TRAINING: AdapterTrainingOptions = {
  loraRank: 8,
  loraAlpha: 32,
  loraDropout: 0.1,
  targetModules: ["q_proj", "v_proj"],
  lr: 1e-4,
  warmupRatio: 0,
};

/** AdamW as the research code sets it. */
const OPTIMIZER: OptimizerOptions = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradientNorm: 1,
};

/** Checkpoints, and looks at the validation rows, over one training. */
const CHECKPOINTS = 10;

/** What is written last into a checkpoint: one without it is not complete. */
const LAST_FILE = "trainer_state.json";

/** Validation rows that are looked at while training: enough to see a trend. */
export const VALIDATION_ROWS = 200;

/** What is learnt from. */
export interface AdapterTraining {
  /** Examples whose losses move weights. */
  readonly examples: readonly TrainingExample[];
  /** Examples that are looked at while training; perhaps none. */
  readonly validation: readonly TrainingExample[];
  /** Ids of the rows that the examples were made of, for messages. */
  readonly ids: readonly string[];
  /** Weight of the divergence in the loss that is shown and logged. */
  readonly klDecay: number;
}

/** Trains an adapter over `maxSteps`, and resolves to the folder of the last checkpoint. */
export async function trainAdapter<O extends AdapterTrainingOptions>(
  model: LanguageModel,
  { examples, validation, ids, klDecay }: AdapterTraining,
  context: TrainingContext<O>,
): Promise<string> {
  const { options, rng, batchSize, maxSteps, folder, progress, log, signal } = context;
  const newest = await newestCheckpoint(folder);
  const { adapter, trainer } = await resume(model, context, newest);
  try {
    const every = Math.ceil(maxSteps / CHECKPOINTS);
    let last = newest;
    while (trainer.step < maxSteps) {
      const batch = batchOf(examples, trainer.step, batchSize, rng);
      const learningRate = schedule(trainer.step, maxSteps, options);
      const losses = await trainer.train([batch], learningRate);
      const loss = losses.choice + klDecay * losses.divergence;
      if (!Number.isFinite(loss)) {
        throw diverged(trainer.step, loss, batch.map(({ id }) => ids[id]), last);
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

/** Rows that are either right or wrong. */
export function decided(rows: readonly Labeled[]): readonly Labeled[] {
  return rows.filter(({ label }) => label !== null);
}

/** A key of a method's options, whether its value will do, and what is wanted. */
export type OptionLimit<O> = readonly [key: keyof O & string, holds: boolean, wanted: string];

/** Refuses values with which nothing could be learned, before the first token is read. */
export function checkTrainingOptions<O extends AdapterTrainingOptions>(
  method: string,
  options: O,
  more: readonly OptionLimit<O>[] = [],
): void {
  const { loraRank, loraAlpha, loraDropout, targetModules, lr, warmupRatio } = options;
  const limits: readonly OptionLimit<O>[] = [
    ["loraRank", Number.isInteger(loraRank) && loraRank >= 1, "a whole number from 1"],
    ["loraAlpha", loraAlpha > 0, "a number above 0"],
    ["loraDropout", loraDropout >= 0 && loraDropout < 1, "a number from 0 to below 1"],
    ["targetModules", targetModules.length > 0, "at least one layer, as in q_proj,v_proj"],
    ["lr", lr > 0, "a number above 0"],
    ["warmupRatio", warmupRatio >= 0 && warmupRatio <= 1, "a number from 0 to 1"],
    ...more,
  ];
  for (const [key, holds, wanted] of limits) {
    if (holds) continue;
    throw new UserError({
      kind: "usage",
      what: `Option "${key}" is ${JSON.stringify(options[key])}`,
      where: `options of method "${method}"`,
      fix: `give ${wanted}`,
    });
  }
}

/** Refuses rows of which all are right or all are wrong: there is nothing to tell apart. */
export function checkClasses(rows: readonly Labeled[]): void {
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
function schedule(step: number, maxSteps: number, { lr, warmupRatio }: AdapterTrainingOptions): number {
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
  { options, rng }: TrainingContext<AdapterTrainingOptions>,
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
