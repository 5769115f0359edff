/** Calibration tuning: the losses of a batch, their gradients for the adapter, and AdamW. */
import { dataError } from "../core/files.ts";
import type { LossTerm, OptimizerOptions, StepResult, Trainer, TrainingExample } from "../core/types.ts";
import { crossEntropy } from "../kernels/cross_entropy.ts";
import { divergence, DIVERGENCE_KIND } from "../kernels/divergence.ts";
import type { Gpu } from "../kernels/gpu.ts";
import type { Tensor } from "../kernels/tensor.ts";
import type { LoraAdapter } from "./adapter.ts";
import { checkActsThroughout, cutExamples } from "./activation.ts";
import { packCached, type PackedBatch, packGroups } from "./batch.ts";
import type { Classifier } from "./classifier.ts";
import { type ActiveAdapter, linearBackward } from "./linear.ts";
import type { Forward, Llama } from "./llama.ts";
import { averages, averagesBackward, gather, logitsOf, logitsOfBackward, scatter, zeros } from "./ops.ts";
import {
  type ChoiceGroup,
  type ClassGroup,
  type DivergenceGroup,
  type LossPlan,
  planLosses,
} from "./loss_plan.ts";
import { AdamW } from "./optimizer.ts";
import { PrefixCache } from "./prefix_cache.ts";
import { logitLayout, vocabularyLogits } from "./vocabulary.ts";

/** Bytes of keys and values that are kept from step to step, where the adapter does not act on all tokens. */
const PREFIX_BYTES = 2 ** 29;

/** Workgroups that a LoRA gradient is spread over, so that small models too keep all cores busy. */
const GRADIENT_WORKGROUPS = 32;

/** Trains one adapter of one model, perhaps together with a classifier on its hidden states. */
export class LoraTrainer implements Trainer {
  readonly #gpu: Gpu;
  readonly #model: Llama;
  readonly #adapter: LoraAdapter;
  readonly #reference?: LoraAdapter;
  readonly #seed: number;
  readonly #classifier?: Classifier;
  readonly #optimizer: AdamW;
  readonly #prefixes?: PrefixCache;

  /** @param parts `reference`: adapter of the model that divergences are measured from; the frozen model if absent */
  constructor(
    model: Llama,
    adapter: LoraAdapter,
    options: OptimizerOptions,
    seed: number,
    { reference, classifier }: { readonly reference?: LoraAdapter; readonly classifier?: Classifier } = {},
  ) {
    if (adapter.options.loraBias) {
      throw dataError(
        'An adapter with "lora_bias" cannot be trained on',
        "adapter_config.json of the adapter",
        "train a new adapter; this one can be evaluated",
      );
    }
    checkActsThroughout("The reference of a divergence", reference?.options);
    const { gpu } = model;
    const narrowest = Math.min(...adapter.sites.map(({ inputs, outputs }) => Math.min(inputs, outputs)));
    const splits = Math.ceil(GRADIENT_WORKGROUPS / Math.ceil(narrowest / (4 * gpu.adapter.lanes)));
    this.#gpu = gpu;
    this.#model = model;
    this.#adapter = adapter;
    this.#reference = reference;
    this.#seed = seed;
    this.#classifier = classifier;
    if (adapter.options.invocationTokens) this.#prefixes = new PrefixCache(model, PREFIX_BYTES);
    this.#optimizer = new AdamW(gpu, [
      { prefix: "", values: adapter.values, splits },
      ...(classifier ? [{ prefix: "classifier.", values: classifier.values, splits: 1 }] : []),
    ], options);
  }

  get step(): number {
    return this.#optimizer.step;
  }

  async train(
    microBatches: readonly (readonly TrainingExample[])[],
    learningRate: number,
  ): Promise<StepResult> {
    const gpu = this.#gpu;
    const examples = microBatches.reduce((sum, batch) => sum + batch.length, 0);
    this.#optimizer.clear();
    const losses = new LossSum(gpu);
    for (const batch of microBatches) this.#run(batch, examples, losses, true);
    this.#optimizer.update(learningRate);
    const [[gradientNorm], ...rows] = await gpu.read(this.#optimizer.norm, ...losses.tensors);
    return { ...losses.means(rows, examples), gradientNorm };
  }

  async evaluate(examples: readonly TrainingExample[]): Promise<StepResult> {
    const losses = new LossSum(this.#gpu);
    this.#run(examples, examples.length, losses, false);
    return { ...losses.means(await this.#gpu.read(...losses.tensors), examples.length), gradientNorm: 0 };
  }

  /** Sum over the splits of the gradient that the last {@linkcode LoraTrainer.train} left, laid out as the adapter. */
  async gradient(): Promise<Float32Array<ArrayBuffer>> {
    const [count] = this.#adapter.values.shape;
    return (await this.#gpu.readF32(this.#optimizer.gradients[0].values)).slice(0, count);
  }

  /** The same of the classifier. */
  classifierGradient(): Promise<Float32Array<ArrayBuffer>> {
    return this.#gpu.readF32(this.#optimizer.gradients[1].values);
  }

  save(folder: string): Promise<void> {
    return this.#optimizer.save(folder, { seed: this.#seed });
  }

  load(folder: string): Promise<void> {
    return this.#optimizer.load(folder);
  }

  free(): void {
    this.#optimizer.free();
    this.#prefixes?.free();
  }

  /** Losses of some examples of a batch of `total`, and with `backward` their gradients. */
  #run(examples: readonly TrainingExample[], total: number, losses: LossSum, backward: boolean): void {
    const gpu = this.#gpu;
    if (!this.#classifier && examples.some(({ losses }) => losses.some(({ kind }) => kind === "class"))) {
      throw new TypeError("A class loss needs a trainer that was given a classifier");
    }
    const { batch, plan, reference } = this.#prefixes
      ? this.#packActivated(examples, this.#prefixes, backward)
      : this.#pack(examples, backward);
    const { dropout: probability } = this.#adapter.options;
    const active: ActiveAdapter = {
      adapter: this.#adapter,
      rows: batch.adaptedRows,
      dropout: backward && probability > 0
        ? { probability, seed: this.#seed, step: this.#optimizer.step, counters: batch.counters }
        : undefined,
    };
    const forward = this.#model.forward(batch, active, backward);
    const dHidden = backward ? zeros(gpu, "dhidden", batch.adaptedOutputs, this.#width) : undefined;
    for (const group of plan.choices) this.#choice(forward, group, total, losses, dHidden);
    for (const group of plan.divergences) {
      this.#divergence(forward.hidden, reference ?? forward.hidden, group, total, losses, dHidden);
    }
    for (const group of plan.classes) this.#class(forward, group, total, losses, dHidden);
    gpu.free(forward.hidden);
    if (reference) gpu.free(reference);
    if (dHidden) {
      this.#model.backward(batch, forward, dHidden, active, this.#optimizer.gradients[0]);
      gpu.free(dHidden);
    }
    batch.free();
  }

  #pack(examples: readonly TrainingExample[], backward: boolean): PackedExamples {
    const whole = planLosses(examples);
    const { plan, reference } = this.#reference
      ? this.#passReference(whole, this.#reference)
      : { plan: whole, reference: undefined };
    return { batch: packGroups(this.#gpu, { ...plan, backward }, this.#model.headGroup), plan, reference };
  }

  /** Only the tokens that the adapter acts on; what stands before them is in the cache. */
  #packActivated(
    whole: readonly TrainingExample[],
    prefixes: PrefixCache,
    backward: boolean,
  ): PackedExamples {
    const { branches, examples } = cutExamples(whole, this.#adapter.options.invocationTokens!);
    const plan = planLosses(examples), { outputs } = plan;
    const options = { ...prefixes.prepare(branches), adapted: true, outputs, backward };
    return { batch: packCached(this.#gpu, options, this.#model.headGroup), plan };
  }

  /**
   * Hidden states of the model with the reference's adapter, by a pass of their own, as a batch has one adapter; and
   * the plan of what is left to do.
   */
  #passReference(plan: LossPlan, adapter: LoraAdapter): { plan: LossPlan; reference: Tensor | undefined } {
    if (plan.plain.length === 0) return { plan, reference: undefined };
    const gpu = this.#gpu;
    const first = plan.adapted.reduce(
      (sum, { prefix, branches }) =>
        branches.reduce((rows, { length }) => rows + length, sum + prefix.length),
      0,
    );
    const tuned = plan.outputs.filter((row) => row < first);
    const outputs = plan.outputs.slice(tuned.length).map((row) => row - first);
    const batch = packGroups(
      gpu,
      { adapted: plan.plain, plain: [], outputs, backward: false },
      this.#model.headGroup,
    );
    const { hidden } = this.#model.forward(batch, { adapter, rows: batch.adaptedRows });
    batch.free();
    const divergences = plan.divergences.map((group) => ({
      ...group,
      frozenRows: group.frozenRows.map((row) => row - tuned.length),
    }));
    return { plan: { ...plan, plain: [], outputs: tuned, divergences }, reference: hidden };
  }

  /** Cross-entropy over a few tokens; its gradient goes to the rows of `dHidden`. */
  #choice(forward: Forward, group: ChoiceGroup, total: number, losses: LossSum, dHidden?: Tensor): void {
    const gpu = this.#gpu;
    const rows = group.rows.length, tokens = group.tokens.length;
    const { head } = this.#model.weights;
    const index = gpu.upload("choice rows", Uint32Array.from(group.rows));
    const ids = gpu.upload("choice tokens", Uint32Array.from(group.tokens));
    const labels = gpu.upload("choice labels", Uint32Array.from(group.labels));
    const x = gather(gpu, forward.hidden, index, rows);
    const logits = logitsOf(gpu, head, x, ids, rows);
    const loss = gpu.tensor("choice loss", "f32", [rows]);
    const dlogits = gpu.tensor("choice dlogits", "f32", [rows, tokens]);
    gpu.run(crossEntropy, {
      params: { rows, classes: tokens, scale: group.weight / total, smoothing: group.smoothing },
      buffers: { logits, labels, loss, dlogits },
    });
    losses.add("choice", loss);
    if (dHidden) {
      const dx = logitsOfBackward(gpu, head, dlogits, ids, rows);
      scatter(gpu, dx, index, dHidden, rows);
      gpu.free(dx);
    }
    gpu.free(index, ids, labels, x, logits, dlogits);
  }

  /** Cross-entropy of the classifier on hidden states; its gradient goes to the rows of `dHidden`. */
  #class(forward: Forward, group: ClassGroup, total: number, losses: LossSum, dHidden?: Tensor): void {
    const gpu = this.#gpu;
    const rows = group.spans.length;
    const index = gpu.upload("class rows", Uint32Array.from(group.rows));
    const labels = gpu.upload("class labels", Uint32Array.from(group.labels));
    const states = gather(gpu, forward.hidden, index, group.rows.length);
    const x = averages(gpu, states, group.spans);
    const loss = gpu.tensor("class loss", "f32", [rows]);
    const dx = dHidden && gpu.tensor("dfeatures", "f32", [rows, this.#width]);
    const read = { x, labels, loss, rows, scale: group.weight / total };
    this.#classifier!.loss(read, dHidden && this.#optimizer.gradients[1], dx);
    losses.add("class", loss);
    if (dHidden && dx) {
      const dStates = averagesBackward(gpu, dx, group.spans);
      scatter(gpu, dStates, index, dHidden, group.rows.length);
      gpu.free(dx, ...(dStates === dx ? [] : [dStates]));
    }
    gpu.free(index, labels, states, ...(x === states ? [] : [x]));
  }

  /** Divergence from the reference over the whole vocabulary, some rows at a time. */
  #divergence(
    hidden: Tensor,
    frozen: Tensor,
    group: DivergenceGroup,
    total: number,
    losses: LossSum,
    dHidden?: Tensor,
  ): void {
    const gpu = this.#gpu;
    const { head } = this.#model.weights;
    const { vocabulary, stride, perTurn } = logitLayout(head);
    for (let start = 0; start < group.rows.length; start += perTurn) {
      const rows = Math.min(perTurn, group.rows.length - start);
      const index = gpu.upload("target rows", Uint32Array.from(group.rows.slice(start, start + rows)));
      const frozenIndex = gpu.upload(
        "frozen rows",
        Uint32Array.from(group.frozenRows.slice(start, start + rows)),
      );
      const logits = vocabularyLogits(gpu, head, hidden, index, stride);
      const reference = vocabularyLogits(gpu, head, frozen, frozenIndex, stride);
      const loss = gpu.tensor("divergence loss", "f32", [rows]);
      gpu.run(divergence, {
        params: { rows, vocabulary, stride, kind: DIVERGENCE_KIND[group.type], scale: group.weight / total },
        buffers: { logits, reference, loss },
      });
      losses.add("divergence", loss);
      if (dHidden) {
        const dx = gpu.tensor("dtarget", "f32", [rows, this.#width]);
        linearBackward(gpu, head, rows, { dy: logits, stride, first: 0 }, dx, false);
        scatter(gpu, dx, index, dHidden, rows);
        gpu.free(dx);
      }
      gpu.free(index, frozenIndex, logits, reference);
    }
  }

  get #width(): number {
    return this.#model.description.width;
  }
}

/** Examples as they are run, and the losses that read them. */
interface PackedExamples {
  readonly batch: PackedBatch;
  readonly plan: LossPlan;
  /** Hidden states of the reference, where that is another adapter. */
  readonly reference?: Tensor;
}

/** Collects the losses of rows on the GPU until they are wanted. */
class LossSum {
  readonly tensors: Tensor[] = [];
  readonly #gpu: Gpu;
  readonly #kinds: LossTerm["kind"][] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  add(kind: LossTerm["kind"], loss: Tensor): void {
    this.#kinds.push(kind);
    this.tensors.push(loss);
  }

  /** Means over the examples of what was read from `tensors`, which are freed. */
  means(rows: readonly ArrayLike<number>[], examples: number): { choice: number; divergence: number } {
    const sums = { choice: 0, divergence: 0 };
    rows.forEach((values, index) => {
      const kind = this.#kinds[index] === "divergence" ? "divergence" : "choice";
      for (let row = 0; row < values.length; row++) sums[kind] += values[row];
    });
    this.#gpu.free(...this.tensors);
    return { choice: sums.choice / examples, divergence: sums.divergence / examples };
  }
}
