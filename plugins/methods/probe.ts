/**
 * Probe (arXiv 2406.08391): a classifier on hidden states of the frozen model, which reads question and answer. The
 * states are computed once; training on them takes seconds.
 */
import {
  type ClassifierHead,
  type FeatureBatch,
  type Labeled,
  type LanguageModel,
  type TrainableMethod,
  type TrainingContext,
  type TrainingRows,
  UserError,
} from "../../core/mod.ts";
import {
  batchReader,
  checkClasses,
  checkFinite,
  checkOptions,
  decided,
  OPTIMIZER,
  schedule,
  TIMES,
} from "./adapter_training.ts";
import {
  CLASS_HELP,
  HEADS,
  parseLayers,
  type Position,
  POSITIONS,
  predictClass,
  shapeOf,
  statesOf,
  writeFeatures,
} from "./class_features.ts";
import { saveCheckpoint } from "./training_checkpoint.ts";

/** Options of {@linkcode probe}; the defaults are the research code's. */
export interface ProbeOptions {
  /** Numbers of the layers that are read, as texts: 0 the embedding, -1 the last, after the final norm. */
  readonly layers: readonly string[];
  /** Of several layers: `all`, one behind the other, or the `best`, whose classifier has the lowest validation loss. */
  readonly layerChoice: "all" | "best";
  /** `answer` and `question`: the last token; `answer-mean`: the mean over the answer; `query`: the question's last. */
  readonly position: Position;
  /** `mlp`, of widths 256, 128 and 64, or `linear`. */
  readonly head: keyof typeof HEADS;
  /** Highest learning rate, per step. */
  readonly lr: number;
  /** Share of a value that a step of learning rate 1 takes away. */
  readonly weightDecay: number;
  /** Share of the steps over which the learning rate rises from 0. */
  readonly warmupRatio: number;
}

/** The method of the paper. */
export const probe: TrainableMethod<ProbeOptions> = {
  kind: "method",
  name: "probe",
  version: 1,
  description: "Probe: a classifier on hidden states of the frozen model",
  defaults: {
    layers: ["-1"],
    layerChoice: "all",
    position: "answer",
    head: "mlp",
    lr: 1e-4,
    weightDecay: 0,
    warmupRatio: 0,
  },
  help: {
    layers: "hidden states to read; 0: embedding, -1: last",
    layerChoice: "of several: all, or best on validation",
    ...CLASS_HELP,
    lr: "highest learning rate; then a cosine to 0",
    weightDecay: "share of a value lost per learning rate",
    warmupRatio: "share of the steps in which it rises",
  },
  train,
  predict: (model, rows, context) => predictClass(probe.name, model, rows, context),
};

/** Steps whose results are read at once. */
const STEPS_AT_ONCE = 100;

/** A row's hidden state, and whether its answer is right. */
interface Example {
  readonly id: string;
  readonly state: Float32Array<ArrayBuffer>;
  readonly label: 0 | 1;
}

interface Examples {
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
}

async function train(
  model: LanguageModel,
  rows: TrainingRows,
  context: TrainingContext<ProbeOptions>,
): Promise<string> {
  const { options, folder, maxSteps } = context, { layerChoice, position } = options;
  const layers = checkProbe(options);
  const trainRows = decided(rows.train), validationRows = decided(rows.validation);
  checkClasses(trainRows);
  if (layerChoice === "best" && validationRows.length === 0) {
    throw new UserError({
      kind: "data",
      what: "There are no labelled validation rows to choose a layer by",
      where: "--layer-choice=best",
      fix: "label the validation split, or name one layer with --layers",
    });
  }
  const all = await readExamples(model, trainRows, validationRows, layers, context);
  const { classifier, chosen } = layerChoice === "best"
    ? await best(model, all, layers, context)
    : { classifier: (await fit(model, all, layers.length, context)).classifier, chosen: layers };
  try {
    const training = { model: model.name, options: { ...options }, batchSize: context.batchSize, maxSteps };
    return await saveCheckpoint(folder, maxSteps, training, async (path) => {
      await classifier.save(path);
      await writeFeatures(path, model.name, { layers: chosen, position });
    });
  } finally {
    classifier.free();
  }
}

/** Refuses options with which nothing could be learned; gives the layers as numbers. */
function checkProbe(options: ProbeOptions): number[] {
  const { layers, layerChoice, position, head, lr, weightDecay, warmupRatio } = options;
  checkOptions(probe.name, options, [
    ["layers", layers.length > 0, "at least one layer, as in -1"],
    ["layerChoice", layerChoice === "all" || layerChoice === "best", "all or best"],
    ["position", POSITIONS.includes(position), `one of ${POSITIONS.join(", ")}`],
    ["head", Object.hasOwn(HEADS, head), `one of ${Object.keys(HEADS).join(", ")}`],
    ["lr", lr > 0, "a number above 0"],
    ["weightDecay", weightDecay >= 0, "a number from 0"],
    ["warmupRatio", warmupRatio >= 0 && warmupRatio <= 1, "a number from 0 to 1"],
  ]);
  return parseLayers(probe.name, layers);
}

async function readExamples(
  model: LanguageModel,
  train: readonly Labeled[],
  validation: readonly Labeled[],
  layers: readonly number[],
  { options: { position }, progress, signal }: TrainingContext<ProbeOptions>,
): Promise<Examples> {
  const rows = [...train, ...validation];
  const examples: Example[] = [];
  const tell = (done: number) => progress.update(done, rows.length, "hidden states");
  for await (const state of statesOf(model, rows, { layers, position }, tell)) {
    const { id, label } = rows[examples.length];
    examples.push({ id, state, label: label as 0 | 1 });
    // What is computed is kept, if there is a cache; a training starts anew, for it takes seconds.
    signal?.throwIfAborted();
  }
  return { train: examples.slice(0, train.length), validation: examples.slice(train.length) };
}

/** The classifier of the layer whose validation loss is lowest. */
async function best(
  model: LanguageModel,
  all: Examples,
  layers: readonly number[],
  context: TrainingContext<ProbeOptions>,
): Promise<{ classifier: ClassifierHead; chosen: readonly number[] }> {
  let found: { classifier: ClassifierHead; loss: number; chosen: readonly number[] } | undefined;
  for (const [index, layer] of layers.entries()) {
    const only = ({ state, ...rest }: Example) => ({
      ...rest,
      state: state.slice(index * model.width, (index + 1) * model.width),
    });
    const own = { train: all.train.map(only), validation: all.validation.map(only) };
    const { classifier, loss } = await fit(model, own, 1, context, layer);
    if (found && loss >= found.loss) classifier.free();
    else {
      found?.classifier.free();
      found = { classifier, loss, chosen: [layer] };
    }
  }
  return found!;
}

/** Trains a classifier; `loss` is that of the validation rows at the end, NaN if there are none. */
async function fit(
  model: LanguageModel,
  { train, validation }: Examples,
  layers: number,
  { options, rng, batchSize, maxSteps, progress, log, signal }: TrainingContext<ProbeOptions>,
  layer?: number,
): Promise<{ classifier: ClassifierHead; loss: number }> {
  const classifier = await model.createClassifier(
    shapeOf(model, layers, options.head),
    rng.split("classifier"),
  );
  const trainer = model.createClassifierTrainer(classifier, {
    ...OPTIMIZER,
    weightDecay: options.weightDecay,
  });
  // Of several layers each has curves of its own.
  const named = (values: Readonly<Record<string, number>>) =>
    layer === undefined
      ? values
      : Object.fromEntries(Object.entries(values).map(([name, value]) => [`${name}_layer_${layer}`, value]));
  const every = Math.ceil(maxSteps / TIMES);
  const batchesOf = batchReader(train, batchSize, 1, rng);
  let loss = NaN;
  try {
    for (let step = 0; step < maxSteps;) {
      const end = Math.min(maxSteps, step + STEPS_AT_ONCE, (Math.floor(step / every) + 1) * every);
      const chunk = Array.from({ length: end - step }, (_, index) => {
        const [examples] = batchesOf(step + index);
        return { examples, ...batch(examples, schedule(step + index, maxSteps, options)) };
      });
      for (const [index, result] of (await trainer.train(chunk)).entries()) {
        step++;
        const { choice, gradientNorm } = result, { learningRate, examples } = chunk[index];
        const where = `training rows ${examples.map(({ id }) => id).join(", ")}`;
        checkFinite(`loss of step ${step}`, choice, where, undefined);
        checkFinite(`gradient norm of step ${step}`, gradientNorm, where, undefined);
        log(step, named({ loss: choice, learning_rate: learningRate, gradient_norm: gradientNorm }));
        progress.update(step, maxSteps, `loss ${choice.toFixed(3)}`);
      }
      if ((step % every === 0 || step === maxSteps) && validation.length > 0) {
        const seen = await look(classifier, validation);
        loss = seen.eval_loss;
        log(step, named(seen));
      }
      signal?.throwIfAborted();
    }
    return { classifier, loss };
  } catch (error) {
    classifier.free();
    throw error;
  } finally {
    trainer.free();
  }
}

function batch(examples: readonly Example[], learningRate: number): FeatureBatch {
  return {
    features: examples.map(({ state }) => state),
    labels: examples.map(({ label }) => label),
    learningRate,
  };
}

/** Mean cross-entropy, in nats, and the share that is told right at 0.5. */
async function look(classifier: ClassifierHead, examples: readonly Example[]) {
  const logits = await classifier.logits(examples.map(({ state }) => state));
  let loss = 0, right = 0;
  logits.forEach(([wrong, correct], index) => {
    const margin = examples[index].label === 1 ? correct - wrong : wrong - correct;
    // log(1 + e^-margin), without overflow on either side.
    loss += (Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin)))) / examples.length;
    right += margin > 0 ? 1 : 0;
  });
  return { eval_loss: loss, eval_acc: right / examples.length };
}
