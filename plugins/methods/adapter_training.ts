/** What methods that train an adapter have in common: the loop over steps, its checkpoints, and going on from one. */
import {
  type Adapter,
  type AdapterQuery,
  type ClassifierHead,
  type ClassifierShape,
  dataError,
  flagName,
  type Json,
  type Labeled,
  type LanguageModel,
  type LoraOptions,
  type OptimizerOptions,
  type Rng,
  type StepResult,
  type Trainer,
  type TrainingContext,
  type TrainingExample,
} from "../../core/mod.ts";
import type { AdapterTrainingOptions } from "./adapter_options.ts";
import { hashExamples, newestCheckpoint, saveCheckpoint } from "./training_checkpoint.ts";

/** AdamW as the research code sets it. */
export const OPTIMIZER: OptimizerOptions = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradientNorm: 1,
};

/** Checkpoints, and looks at the validation rows, over one training, unless told otherwise. */
export const TIMES = 10;

/** Validation rows that are looked at while training: enough to see a trend. */
export const VALIDATION_ROWS = 200;

/** What is learnt from. */
export interface AdapterTraining {
  /** Examples whose losses move weights. */
  readonly examples: readonly TrainingExample[];
  /** Examples that are looked at while training; perhaps none. */
  readonly validation: readonly TrainingExample[];
  /** Ids of the rows that the examples were made of, by the examples' ids, for messages. */
  readonly ids: readonly string[];
  /** Weight of the divergence in the loss that is shown and logged. */
  readonly klDecay: number;
  /** Folder of the adapter whose model divergences are measured from; the frozen model if absent. */
  readonly reference?: string;
  /** Tokens from which on the adapter acts: a branch begins with them. It acts on all tokens if absent. */
  readonly invocationTokens?: readonly number[];
  /** How the adapter is taught to be asked, for its folder to say so; absent where it is not asked with words. */
  readonly query?: AdapterQuery;
  /** A classifier that is trained with the adapter, and what is written beside it into each checkpoint. */
  readonly classifier?: {
    readonly shape: ClassifierShape;
    describe(folder: string): Promise<void>;
  };
}

/**
 * Trains an adapter over `maxSteps`, and resolves to the folder of the last checkpoint. A step reads `batchSize` rows
 * times the accumulation steps.
 *
 * It goes on from the newest complete checkpoint in the context's folder, and ends with the same bytes as without an
 * interruption: what a step does depends on the seed, the step and the checkpoint only.
 *
 * @throws {UserError} of kind `data` when a loss or the gradient's norm is no finite number, naming step and rows; the
 * last checkpoint stays as it was
 */
export async function trainAdapter<O extends AdapterTrainingOptions>(
  model: LanguageModel,
  training: AdapterTraining,
  context: TrainingContext<O>,
): Promise<string> {
  const { examples, validation, ids, klDecay } = training;
  const { options, rng, batchSize, maxSteps, folder, progress, log, signal } = context;
  const dropoutSeed = rng.split("dropout").integer(2 ** 32 - 1);
  const identity = {
    model: model.name,
    options: JSON.parse(JSON.stringify(options)) as Json,
    batchSize,
    maxSteps,
    dropoutSeed,
    examples: hashExamples(examples, validation),
  };
  const newest = await newestCheckpoint(folder, identity);
  const { adapter, reference, classifier, trainer } = await start(
    model,
    training,
    context,
    newest,
    dropoutSeed,
  );
  const save = () =>
    saveCheckpoint(folder, trainer.step, identity, async (path) => {
      await model.saveAdapter(adapter, path, training.query);
      await classifier?.save(path);
      await training.classifier?.describe(path);
      await trainer.save(path);
    });
  try {
    const batchesOf = batchReader(examples, batchSize, options.gradientAccumulationSteps, rng);
    const tenth = Math.ceil(maxSteps / TIMES);
    const isDue = (every: number) => trainer.step % (every || tenth) === 0 || trainer.step === maxSteps;
    // A checkpoint is known to be good once a loss of its weights is a finite number.
    let last = newest, good: string | undefined;
    while (trainer.step < maxSteps) {
      const batches = batchesOf(trainer.step);
      const learningRate = schedule(trainer.step, maxSteps, options);
      const began = performance.now();
      const losses = await trainer.train(batches, learningRate);
      const seconds = Math.max(performance.now() - began, 1e-3) / 1000;
      const { step } = trainer, rows = batches.flat();
      const loss = lossOf(losses, klDecay);
      const where = `training rows ${rows.map(({ id }) => ids[id]).join(", ")}`;
      checkFinite(`loss of step ${step}`, loss, where, good);
      checkFinite(`gradient norm of step ${step}`, losses.gradientNorm, where, good);
      good = last;
      log(step, {
        loss,
        q_loss: losses.choice,
        kl_loss: losses.divergence,
        learning_rate: learningRate,
        gradient_norm: losses.gradientNorm,
        examples_per_second: rows.length / seconds,
        tokens_per_second: rows.reduce((sum, row) => sum + tokenCount(row, training), 0) / seconds,
      });
      progress.update(step, maxSteps, `loss ${loss.toFixed(3)}`);
      const isLookedAt = isDue(options.evalSteps) && validation.length > 0;
      if (isLookedAt) {
        const seen = await evaluateInBatches(trainer, validation, batchSize);
        checkFinite(`validation loss of step ${step}`, lossOf(seen, klDecay), "validation rows", good);
        log(step, { eval_q_loss: seen.choice, eval_kl_loss: seen.divergence });
      }
      const stopped = signal?.aborted ?? false;
      if (isDue(options.saveSteps) || stopped) last = await save();
      if (isLookedAt) good = last;
      if (step < maxSteps) signal?.throwIfAborted();
    }
    return last ?? await save();
  } finally {
    trainer.free();
    adapter.free();
    reference?.free();
    classifier?.free();
  }
}

/** Rows that are either right or wrong. */
export function decided(rows: readonly Labeled[]): readonly Labeled[] {
  return rows.filter(({ label }) => label !== null);
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

/**
 * Leaves out examples that are longer than `maxTokenLength`, and says how many.
 *
 * @throws {UserError} of kind `data` if that leaves none
 */
export function withinLength(
  examples: readonly TrainingExample[],
  split: string,
  { options: { maxTokenLength }, warn }: TrainingContext<Pick<AdapterTrainingOptions, "maxTokenLength">>,
): readonly TrainingExample[] {
  if (maxTokenLength === 0) return examples;
  const lengths = examples.map(({ prefix, branches }) =>
    prefix.length + branches.reduce((most, { length }) => Math.max(most, length), 0)
  );
  const kept = examples.filter((_, index) => lengths[index] <= maxTokenLength);
  if (kept.length === examples.length) return examples;
  const left = `${examples.length - kept.length} of ${examples.length} ${split} rows`;
  if (kept.length === 0 && split === "train") {
    throw dataError(
      `All train rows are longer than ${maxTokenLength} tokens`,
      "--max-token-length",
      `the shortest has ${Math.min(...lengths)}: raise it, or use fewer worked examples (--kshot)`,
    );
  }
  warn?.(`${left} are longer than ${maxTokenLength} tokens and left out.`);
  return kept;
}

/** Gives the batches of a step: each epoch has an order of its own, which depends on the seed and the epoch only. */
export function batchReader<T>(
  examples: readonly T[],
  size: number,
  count: number,
  rng: Rng,
): (step: number) => T[][] {
  // A step lies in one epoch or a few; the last one's order serves the next step too.
  let known = -1, order: readonly number[] = [];
  const at = (position: number) => {
    const epoch = Math.floor(position / examples.length);
    if (epoch !== known) [known, order] = [epoch, rng.split(`epoch ${epoch}`).permutation(examples.length)];
    return examples[order[position % examples.length]];
  };
  return (step) =>
    Array.from(
      { length: count },
      (_, batch) => Array.from({ length: size }, (_, row) => at((step * count + batch) * size + row)),
    );
}

/** Linear warm-up, then half a cosine down to 0. */
export function schedule(
  step: number,
  maxSteps: number,
  { lr, warmupRatio }: Pick<AdapterTrainingOptions, "lr" | "warmupRatio">,
): number {
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

/** Takes up a checkpoint, or starts anew where there is none: from the adapter that is named, or from a fresh one. */
async function start(
  model: LanguageModel,
  { reference: folder, classifier: wanted, invocationTokens }: AdapterTraining,
  { options, rng, warn }: TrainingContext<AdapterTrainingOptions>,
  newest: string | undefined,
  dropoutSeed: number,
): Promise<
  {
    adapter: Adapter;
    reference: Adapter | undefined;
    classifier: ClassifierHead | undefined;
    trainer: Trainer;
  }
> {
  const asked: LoraOptions = {
    rank: options.loraRank,
    alpha: options.loraAlpha,
    dropout: options.loraDropout,
    targetModules: options.targetModules,
    ...(invocationTokens ? { invocationTokens } : {}),
  };
  const from = newest ?? options.peftDir;
  const adapter = from === ""
    ? await model.createAdapter(asked, rng.split("adapter"))
    : await model.loadAdapter(from);
  if (from !== "") checkActivation(from, adapter.options, asked);
  if (newest === undefined && from !== "") sayWhatCounts(from, adapter.options, asked, warn);
  const reference = folder === undefined ? undefined : await model.loadAdapter(folder);
  const classifier = wanted &&
    (newest === undefined
      ? await model.createClassifier(wanted.shape, rng.split("classifier"))
      : await model.loadClassifier(newest));
  const trainer = model.createTrainer(adapter, OPTIMIZER, dropoutSeed, { reference, classifier });
  if (newest !== undefined) await trainer.load(newest);
  return { adapter, reference, classifier, trainer };
}

/** Refuses an adapter that acts on other tokens than the method's: its weights would mean something else. */
function checkActivation(folder: string, its: LoraOptions, asked: LoraOptions): void {
  if (`${its.invocationTokens}` === `${asked.invocationTokens}`) return;
  const name = ({ invocationTokens }: LoraOptions) =>
    invocationTokens ? `from the tokens ${invocationTokens.join(", ")} on` : "on all tokens";
  throw dataError(
    `The adapter acts ${name(its)}, but this method trains one that acts ${name(asked)}`,
    folder,
    "start from an adapter that the same method trained for the same model, or leave --peft-dir out",
  );
}

/** Options of an adapter that are options of training too. */
const SHARED = {
  rank: "loraRank",
  alpha: "loraAlpha",
  dropout: "loraDropout",
  targetModules: "targetModules",
};

/** Names the options that an adapter one starts from has otherwise than they were asked for. */
function sayWhatCounts(
  folder: string,
  its: LoraOptions,
  asked: LoraOptions,
  warn: ((text: string) => void) | undefined,
): void {
  const others = (Object.keys(SHARED) as (keyof typeof SHARED)[])
    .filter((key) => `${its[key]}` !== `${asked[key]}`)
    .map((key) => `--${flagName(SHARED[key])} is ${its[key]}, not ${asked[key]}`);
  if (others.length > 0) warn?.(`The options of the adapter ${folder} count: ${others.join("; ")}.`);
}

function lossOf({ choice, divergence }: Pick<StepResult, "choice" | "divergence">, klDecay: number): number {
  return choice + klDecay * divergence;
}

/** Tokens that are read with the adapter. */
function tokenCount({ prefix, branches }: TrainingExample, { invocationTokens }: AdapterTraining): number {
  return branches.reduce((sum, branch) => sum + branch.length, invocationTokens ? 0 : prefix.length);
}

/** Stops a training that has gone astray, before its weights are written over good ones. */
export function checkFinite(what: string, value: number, where: string, good: string | undefined): void {
  if (Number.isFinite(value)) return;
  const left = good === undefined ? "there is no good checkpoint yet" : `the last good checkpoint is ${good}`;
  throw dataError(`The ${what} is ${value}`, where, `use a lower --lr; ${left}`);
}
