/**
 * Probe (arXiv 2406.08391): a classifier on hidden states of the frozen model, which reads question and answer. The
 * states are computed once; training on them takes seconds.
 */
import {
  type Adapter,
  checkOptions,
  type ClassifierHead,
  type FeatureBatch,
  type Labeled,
  type LanguageModel,
  type TokenSpan,
  type TrainableMethod,
  type TrainingContext,
  type TrainingRows,
  UserError,
} from "../../core/mod.ts";
import {
  batchReader,
  checkClasses,
  checkFinite,
  decided,
  OPTIMIZER,
  schedule,
  TIMES,
  withinLength,
} from "./adapter_training.ts";
import {
  CLASS_HELP,
  HEADS,
  parseLayers,
  type Position,
  POSITIONS,
  predictClass,
  shapeOf,
  spanOf,
  STATE_ROWS,
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
  /** Folder of an adapter with which the frozen model is read; "" for none. It is put beside the classifier. */
  readonly peftDir: string;
  /** Tokens of a row at most, beyond which it is left out; 0 for what the model reads, beyond which it is refused. */
  readonly maxTokenLength: number;
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
    peftDir: "",
    maxTokenLength: 0,
    lr: 1e-4,
    weightDecay: 0,
    warmupRatio: 0,
  },
  help: {
    layers: "hidden states to read; 0: embedding, -1: last",
    layerChoice: "of several: all, or best on validation",
    ...CLASS_HELP,
    peftDir: "adapter with which the model is read",
    maxTokenLength: "longer rows are left out; 0: the model decides",
    lr: "highest learning rate; then a cosine to 0",
    weightDecay: "share of a value lost per learning rate",
    warmupRatio: "share of the steps in which it rises",
  },
  check,
  train,
  predict: (model, rows, context) => predictClass(probe.name, model, rows, context),
};

function check(options: ProbeOptions): void {
  const { layers, layerChoice, position, head, maxTokenLength, lr, weightDecay, warmupRatio } = options;
  checkOptions(probe, options, [
    ["layers", layers.length > 0, "at least one layer, as in -1"],
    ["layers", new Set(layers).size === layers.length, "each layer once"],
    ["layerChoice", layerChoice === "all" || layerChoice === "best", "all or best"],
    ["position", POSITIONS.includes(position), `one of ${POSITIONS.join(", ")}`],
    ["head", Object.hasOwn(HEADS, head), `one of ${Object.keys(HEADS).join(", ")}`],
    ["maxTokenLength", Number.isInteger(maxTokenLength) && maxTokenLength >= 0, "a whole number from 0"],
    ["lr", lr > 0, "a number above 0"],
    ["weightDecay", weightDecay >= 0, "a number from 0"],
    ["warmupRatio", warmupRatio >= 0 && warmupRatio <= 1, "a number from 0 to 1"],
  ]);
  parseLayers(probe.name, layers);
}

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
  const { options, folder, maxSteps } = context, { layerChoice, position, peftDir } = options;
  check(options);
  const layers = parseLayers(probe.name, options.layers);
  const train = spansOf(model, rows.train, "train", context);
  const validation = spansOf(model, rows.validation, "validation", context);
  checkClasses(train.map(({ row }) => row));
  if (layerChoice === "best" && validation.length === 0) {
    throw new UserError({
      kind: "data",
      what: "There are no labelled validation rows to choose a layer by",
      where: "--layer-choice=best",
      fix: "label the validation split, or name one layer with --layers",
    });
  }
  const adapter = peftDir === "" ? undefined : await model.loadAdapter(peftDir);
  try {
    const states = await readStates(model, [...train, ...validation], layers, context, adapter);
    const all = { train: states.slice(0, train.length), validation: states.slice(train.length) };
    const { classifier, chosen } = layerChoice === "best"
      ? await best(model, all, layers, context)
      : { classifier: (await fit(model, all, layers.length, context)).classifier, chosen: layers };
    const training = { model: model.name, options: { ...options }, batchSize: context.batchSize, maxSteps };
    return await saveCheckpoint(folder, maxSteps, training, async (path) => {
      await classifier.save(path);
      await writeFeatures(path, model, { layers: chosen, position });
      if (adapter) await model.saveAdapter(adapter, path);
    }).finally(() => classifier.free());
  } finally {
    adapter?.free();
  }
}

/** A row, and the tokens of it that are read. */
interface Span {
  readonly row: Labeled;
  readonly span: TokenSpan;
}

/** The decided rows of a split, but for those that are too long. */
function spansOf(
  model: LanguageModel,
  rows: readonly Labeled[],
  split: string,
  context: TrainingContext<ProbeOptions>,
): Span[] {
  const spans = decided(rows).map((row) => ({ row, span: spanOf(model, row, context.options.position) }));
  const examples = spans.map(({ span }, id) => ({ id, prefix: span.tokens, branches: [], losses: [] }));
  return withinLength(examples, split, context).map(({ id }) => spans[id]);
}

async function readStates(
  model: LanguageModel,
  spans: readonly Span[],
  layers: readonly number[],
  { progress, signal }: TrainingContext<ProbeOptions>,
  adapter: Adapter | undefined,
): Promise<Example[]> {
  const examples: Example[] = [];
  const options = { layers, batchSize: STATE_ROWS, adapter };
  for await (const state of model.hiddenStates(spans.map(({ span }) => span), options)) {
    const { id, label } = spans[examples.length].row;
    examples.push({ id, state, label: label as 0 | 1 });
    progress.update(examples.length, spans.length, "hidden states");
    // What is computed is kept, if there is a cache; a training starts anew, for it takes seconds.
    signal?.throwIfAborted();
  }
  return examples;
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
  const { chosen, loss } = found!;
  context.warn?.(
    `Of the layers ${layers.join(", ")}, ${chosen[0]} has the lowest validation loss: ${loss.toFixed(3)}.`,
  );
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
