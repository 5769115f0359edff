/** Calibration tuning: the losses of a batch, their gradients for the adapter, and AdamW. */
import { join } from "node:path";
import { dataError, writeJsonAtomic } from "../core/files.ts";
import type { LossTerm, OptimizerOptions, StepResult, Trainer, TrainingExample } from "../core/types.ts";
import { adamw } from "../kernels/adamw.ts";
import { crossEntropy } from "../kernels/cross_entropy.ts";
import { divergence, DIVERGENCE_KIND } from "../kernels/divergence.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { gradientNorm, gradientNormGroups } from "../kernels/gradient_norm.ts";
import type { Tensor } from "../kernels/tensor.ts";
import type { LoraAdapter } from "./adapter.ts";
import { packGroups } from "./batch.ts";
import { readConfigFile } from "./config_file.ts";
import { type ActiveAdapter, type Gradient, linear, linearBackward } from "./linear.ts";
import type { Forward, Llama } from "./llama.ts";
import { gather, logitsOf, logitsOfBackward, scatter, zeros } from "./ops.ts";
import { type ChoiceGroup, type DivergenceGroup, type LossPlan, planLosses } from "./loss_plan.ts";
import { SafetensorsFile, writeSafetensors } from "./safetensors.ts";

/** Bytes of logits that are made at once: beyond this, target rows are taken in turns. */
const LOGIT_BYTES = 1 << 26;

/** Workgroups that a LoRA gradient is spread over, so that small models too keep all cores busy. */
const GRADIENT_WORKGROUPS = 32;

/** Trains one adapter of one model. */
export class LoraTrainer implements Trainer {
  readonly #gpu: Gpu;
  readonly #model: Llama;
  readonly #adapter: LoraAdapter;
  readonly #reference: LoraAdapter | undefined;
  readonly #options: OptimizerOptions;
  readonly #seed: number;
  readonly #gradient: Gradient;
  readonly #m: Tensor;
  readonly #v: Tensor;
  readonly #partial: Tensor;
  readonly #norm: Tensor;
  #step = 0;

  /** @param reference adapter of the model that divergences are measured from; the frozen model if absent */
  constructor(
    model: Llama,
    adapter: LoraAdapter,
    options: OptimizerOptions,
    seed: number,
    reference?: LoraAdapter,
  ) {
    if (adapter.options.loraBias) {
      throw dataError(
        'An adapter with "lora_bias" cannot be trained on',
        "adapter_config.json of the adapter",
        "train a new adapter; this one can be evaluated",
      );
    }
    const { gpu } = model;
    const [count] = adapter.values.shape;
    const narrowest = Math.min(...adapter.sites.map(({ inputs, outputs }) => Math.min(inputs, outputs)));
    const splits = Math.ceil(GRADIENT_WORKGROUPS / Math.ceil(narrowest / (4 * gpu.adapter.lanes)));
    this.#gpu = gpu;
    this.#model = model;
    this.#adapter = adapter;
    this.#reference = reference;
    this.#options = options;
    this.#seed = seed;
    this.#gradient = { values: gpu.tensor("gradient", "f32", [splits, count]), splits };
    this.#m = gpu.tensor("adamw m", "f32", [count]);
    this.#v = gpu.tensor("adamw v", "f32", [count]);
    this.#partial = gpu.tensor("gradient norm parts", "f32", [gradientNormGroups(count)]);
    this.#norm = gpu.tensor("gradient norm", "f32", [1]);
    gpu.clear(this.#m);
    gpu.clear(this.#v);
  }

  get step(): number {
    return this.#step;
  }

  async train(
    microBatches: readonly (readonly TrainingExample[])[],
    learningRate: number,
  ): Promise<StepResult> {
    const gpu = this.#gpu;
    const examples = microBatches.reduce((sum, batch) => sum + batch.length, 0);
    gpu.clear(this.#gradient.values);
    const losses = new LossSum(gpu);
    for (const batch of microBatches) this.#run(batch, examples, losses, true);
    this.#update(learningRate);
    const [[gradientNorm], ...rows] = await gpu.read(this.#norm, ...losses.tensors);
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
    return (await this.#gpu.readF32(this.#gradient.values)).slice(0, count);
  }

  async save(folder: string): Promise<void> {
    const shape = this.#m.shape;
    await writeSafetensors(join(folder, "optimizer.safetensors"), [
      { name: "exp_avg", shape, values: await this.#gpu.readF32(this.#m) },
      { name: "exp_avg_sq", shape, values: await this.#gpu.readF32(this.#v) },
    ]);
    await writeJsonAtomic(join(folder, "optimizer.json"), {
      step: this.#step,
      seed: this.#seed,
      ...this.#options,
    });
  }

  async load(folder: string): Promise<void> {
    using file = await SafetensorsFile.open(join(folder, "optimizer.safetensors"));
    for (const [name, tensor] of [["exp_avg", this.#m], ["exp_avg_sq", this.#v]] as const) {
      const entry = file.tensors.get(name);
      if (entry?.shape.join() !== tensor.shape.join()) {
        throw dataError(
          `Tensor "${name}" does not fit the adapter`,
          file.path,
          "train into another --log-dir",
        );
      }
      this.#gpu.write(tensor, await file.values(entry));
    }
    const path = join(folder, "optimizer.json");
    const { step } = await readConfigFile(path);
    if (!Number.isInteger(step)) throw dataError("The step is missing", path, "train into another --log-dir");
    this.#step = step as number;
  }

  free(): void {
    this.#gpu.free(this.#gradient.values, this.#m, this.#v, this.#partial, this.#norm);
  }

  /** Losses of some examples of a batch of `total`, and with `backward` their gradients. */
  #run(examples: readonly TrainingExample[], total: number, losses: LossSum, backward: boolean): void {
    const gpu = this.#gpu;
    const whole = planLosses(examples);
    const { plan, reference } = this.#reference
      ? this.#passReference(whole, this.#reference)
      : { plan: whole, reference: undefined };
    const batch = packGroups(gpu, { ...plan, backward }, this.#model.headGroup);
    const { dropout: probability } = this.#adapter.options;
    const active: ActiveAdapter = {
      adapter: this.#adapter,
      rows: batch.adaptedRows,
      dropout: backward && probability > 0
        ? { probability, seed: this.#seed, step: this.#step, counters: batch.counters }
        : undefined,
    };
    const forward = this.#model.forward(batch, active, backward);
    const dHidden = backward ? zeros(gpu, "dhidden", batch.adaptedOutputs, this.#width) : undefined;
    for (const group of plan.choices) this.#choice(forward, group, total, losses, dHidden);
    for (const group of plan.divergences) {
      this.#divergence(forward.hidden, reference ?? forward.hidden, group, total, losses, dHidden);
    }
    gpu.free(forward.hidden);
    if (reference) gpu.free(reference);
    if (dHidden) {
      this.#model.backward(batch, forward, dHidden, active, this.#gradient);
      gpu.free(dHidden);
    }
    batch.free();
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
    const vocabulary = head.rows;
    const stride = Math.ceil(vocabulary / 4) * 4;
    const perTurn = Math.max(1, Math.floor(LOGIT_BYTES / (4 * stride)));
    for (let start = 0; start < group.rows.length; start += perTurn) {
      const rows = Math.min(perTurn, group.rows.length - start);
      const index = gpu.upload("target rows", Uint32Array.from(group.rows.slice(start, start + rows)));
      const frozenIndex = gpu.upload(
        "frozen rows",
        Uint32Array.from(group.frozenRows.slice(start, start + rows)),
      );
      const logits = this.#logits(hidden, index, rows, stride);
      const reference = this.#logits(frozen, frozenIndex, rows, stride);
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

  #logits(hidden: Tensor, index: Tensor, rows: number, stride: number): Tensor {
    const gpu = this.#gpu;
    const x = gather(gpu, hidden, index, rows);
    const logits = gpu.tensor("logits", "f32", [rows, stride]);
    linear(gpu, this.#model.weights.head, x, rows, { y: logits, stride, first: 0 });
    gpu.free(x);
    return logits;
  }

  /** Sums the gradient, clips it, and takes one step of AdamW. */
  #update(learningRate: number): void {
    const gpu = this.#gpu;
    const [count] = this.#adapter.values.shape;
    const { beta1, beta2, epsilon, weightDecay, maxGradientNorm } = this.#options;
    this.#step++;
    gpu.run(gradientNorm, {
      params: { count, splits: this.#gradient.splits },
      buffers: { gradient: this.#gradient.values, partial: this.#partial },
    });
    gpu.run(adamw, {
      params: {
        count,
        groups: gradientNormGroups(count),
        learning_rate: learningRate,
        beta1,
        beta2,
        eps: epsilon,
        weight_decay: weightDecay,
        correction1: 1 - beta1 ** this.#step,
        correction2: 1 - beta2 ** this.#step,
        max_norm: maxGradientNorm,
      },
      buffers: {
        gradient: this.#gradient.values,
        partial: this.#partial,
        parameters: this.#adapter.values,
        m: this.#m,
        v: this.#v,
        norm: this.#norm,
      },
    });
  }

  get #width(): number {
    return this.#model.description.width;
  }
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
      for (let row = 0; row < values.length; row++) sums[this.#kinds[index]] += values[row];
    });
    this.#gpu.free(...this.tensors);
    return { choice: sums.choice / examples, divergence: sums.divergence / examples };
  }
}
