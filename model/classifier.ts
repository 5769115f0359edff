/** A classifier on features: linear layers with ReLU between them, forward, backward and its training. */
import { join } from "node:path";
import { dataError } from "../core/files.ts";
import { UserError } from "../core/errors.ts";
import type { Rng } from "../core/rng.ts";
import type {
  ClassifierHead,
  ClassifierShape,
  ClassifierTrainer,
  FeatureBatch,
  OptimizerOptions,
  StepResult,
} from "../core/types.ts";
import { columnSums } from "../kernels/column_sums.ts";
import { crossEntropy } from "../kernels/cross_entropy.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { loraGradient } from "../kernels/lora_gradient.ts";
import { relu } from "../kernels/relu.ts";
import { reluBackward } from "../kernels/relu_backward.ts";
import type { Tensor } from "../kernels/tensor.ts";
import {
  CLASSIFIER_FILES,
  type ClassifierLayer,
  findClassifier,
  readClassifier,
  writeClassifier,
} from "./classifier_file.ts";
import { type Gradient, linear, linearBackward } from "./linear.ts";
import { matrixOf } from "./matrix.ts";
import { addBiasTo } from "./ops.ts";
import { AdamW } from "./optimizer.ts";

/** "wrong" and "correct". */
const CLASSES = 2;

/**
 * Outputs of the last layer in memory, where every width is a multiple of 4: those beyond the classes have weights 0 and
 * a bias of which no softmax sees anything, so that their gradients are 0 and they stay as they are.
 */
const PADDED_CLASSES = 4;
const UNSEEN = -1e30;

/** Values between the starts of two matrices: WebGPU binds buffers at multiples of 256 bytes. */
const ALIGNMENT = 64;

/** Rows that are classified at once. */
const LOGIT_ROWS = 1024;

/** Values of features that are uploaded at once: many steps, or one. */
const UPLOAD_VALUES = 1 << 22;

interface Layer {
  readonly inputs: number;
  /** In memory; the last layer has more than its classes. */
  readonly outputs: number;
  /** `[outputs, inputs]` f32 */
  readonly weight: Tensor;
  /** `[outputs]` f32 */
  readonly bias: Tensor;
  readonly weightFirst: number;
  readonly biasFirst: number;
}

/** A classifier on the GPU: one flat vector of values, so that the optimizer is one kernel call. */
export class Classifier implements ClassifierHead {
  readonly shape: ClassifierShape;
  /** All values, weight and bias of every layer, each at a multiple of 256 bytes; the gaps are 0. */
  readonly values: Tensor;
  readonly gpu: Gpu;
  readonly #layers: readonly Layer[];

  /** Undefined values; {@linkcode Classifier.create} and {@linkcode Classifier.load} set them. */
  constructor(gpu: Gpu, shape: ClassifierShape) {
    const { inputs, hidden } = shape;
    if (![inputs, ...hidden].every((width) => Number.isInteger(width) && width > 0 && width % 4 === 0)) {
      throw new UserError({
        kind: "data",
        what: `A classifier's widths are ${[inputs, ...hidden].join(", ")}`,
        where: "classifier",
        fix: "use multiples of 4",
      });
    }
    this.gpu = gpu;
    this.shape = shape;
    let first = 0;
    const place = (count: number): number => {
      const start = first;
      first = Math.ceil((first + count) / ALIGNMENT) * ALIGNMENT;
      return start;
    };
    const widths = [inputs, ...hidden, PADDED_CLASSES];
    const placed = widths.slice(1).map((outputs, index) => ({
      inputs: widths[index],
      outputs,
      weightFirst: place(outputs * widths[index]),
      biasFirst: place(outputs),
    }));
    this.values = gpu.tensor("classifier", "f32", [first]);
    const view = (label: string, start: number, shape: readonly number[]): Tensor => ({
      ...this.values,
      label,
      shape,
      offset: this.values.offset + 4 * start,
    });
    this.#layers = placed.map((layer, index) => ({
      ...layer,
      weight: view(`classifier.${2 * index}.weight`, layer.weightFirst, [layer.outputs, layer.inputs]),
      bias: view(`classifier.${2 * index}.bias`, layer.biasFirst, [layer.outputs]),
    }));
  }

  /** Weights Xavier-normal (Glorot and Bengio, 2010), as the research code sets them; biases as `nn.Linear` does. */
  static create(gpu: Gpu, shape: ClassifierShape, rng: Rng): Classifier {
    const widths = [shape.inputs, ...shape.hidden, CLASSES];
    const classifier = new Classifier(gpu, shape);
    classifier.#set(
      widths.slice(1).map((outputs, index) => {
        const inputs = widths[index], stream = rng.split(`layer ${index}`);
        const deviation = Math.sqrt(2 / (inputs + outputs)), bound = 1 / Math.sqrt(inputs);
        return {
          weight: Float32Array.from({ length: outputs * inputs }, () => deviation * normal(stream)),
          bias: Float32Array.from({ length: outputs }, () => bound * (2 * stream.random() - 1)),
        };
      }),
    );
    return classifier;
  }

  /** Reads what is in a folder. @throws {UserError} of kind `data` if there is no classifier, or not a sound one */
  static async load(gpu: Gpu, folder: string): Promise<Classifier> {
    const path = await findClassifier(folder);
    if (path === undefined) {
      throw dataError(
        `There is no ${CLASSIFIER_FILES.join(" and no ")}`,
        folder,
        "use a checkpoint that deno task classifier-tune wrote",
      );
    }
    const { layers } = await readClassifier(path);
    const classifier = new Classifier(gpu, {
      inputs: layers[0].inputs,
      hidden: layers.slice(0, -1).map(({ outputs }) => outputs),
    });
    if (layers.some(({ weight, bias }) => ![...weight, ...bias].every(Number.isFinite))) {
      classifier.free();
      throw dataError("The classifier has values that are no finite numbers", path, "train it again");
    }
    classifier.#set(layers);
    return classifier;
  }

  async logits(
    features: readonly Float32Array<ArrayBuffer>[],
  ): Promise<readonly (readonly [number, number])[]> {
    const logits: (readonly [number, number])[] = [];
    for (let start = 0; start < features.length; start += LOGIT_ROWS) {
      const some = features.slice(start, start + LOGIT_ROWS);
      const x = this.gpu.upload("features", joined(some, this.shape.inputs), [
        some.length,
        this.shape.inputs,
      ]);
      const given = this.#forward(x, some.length);
      const values = await this.gpu.readF32(given.at(-1)!);
      this.gpu.free(x, ...given);
      for (let row = 0; row < values.length; row += PADDED_CLASSES) {
        logits.push([values[row], values[row + 1]]);
      }
    }
    return logits;
  }

  /**
   * Cross-entropy of some rows.
   *
   * @param x `[rows, inputs]`
   * @param labels `[rows]` u32
   * @param loss `[rows]`, overwritten, in nats and without scale
   * @param gradient where the gradient of `scale` · loss is added up, if it is wanted
   * @param dx `[rows, inputs]`, overwritten with the gradient for `x`, if it is wanted
   */
  loss(
    { x, labels, loss, rows, scale }: {
      readonly x: Tensor;
      readonly labels: Tensor;
      readonly loss: Tensor;
      readonly rows: number;
      readonly scale: number;
    },
    gradient?: Gradient,
    dx?: Tensor,
  ): void {
    const { gpu } = this;
    const given = this.#forward(x, rows);
    let dy = gpu.tensor("dlogits", "f32", [rows, PADDED_CLASSES]);
    gpu.run(crossEntropy, {
      params: { rows, classes: PADDED_CLASSES, scale, smoothing: 0 },
      buffers: { logits: given.at(-1)!, labels, loss, dlogits: dy },
    });
    for (let index = gradient ? this.#layers.length - 1 : -1; index >= 0; index--) {
      const { inputs, outputs, weight, weightFirst, biasFirst } = this.#layers[index];
      const input = index === 0 ? x : given[index - 1];
      const [splits, count] = gradient!.values.shape;
      gpu.run(loraGradient, {
        params: {
          rows,
          wide_count: inputs,
          wide_stride: inputs,
          wide_first: 0,
          narrow_count: outputs,
          narrow_stride: outputs,
          narrow_first: 0,
          first: weightFirst,
          wide_step: 1,
          narrow_step: inputs,
          gradient_stride: count,
          splits,
          scale: 1,
        },
        buffers: { wide: input, narrow: dy, gradient: gradient!.values },
      });
      gpu.run(columnSums, {
        params: { rows, columns: outputs, first: biasFirst },
        buffers: { x: dy, sums: gradient!.values },
      });
      const target = index > 0 ? gpu.tensor("dfeatures", "f32", [rows, inputs]) : dx;
      if (target) {
        linearBackward(gpu, matrixOf(weight), rows, { dy, stride: outputs, first: 0 }, target, false);
      }
      if (index > 0) {
        gpu.run(reluBackward, { params: { rows, width: inputs }, buffers: { y: input, dy: target! } });
        gpu.free(dy);
        dy = target!;
      }
    }
    gpu.free(dy, ...given);
  }

  async save(folder: string): Promise<void> {
    const values = await this.gpu.readF32(this.values);
    await writeClassifier(
      join(folder, CLASSIFIER_FILES[0]),
      this.#layers.map(({ inputs, outputs: padded, weightFirst, biasFirst }, index) => {
        const outputs = index === this.#layers.length - 1 ? CLASSES : padded;
        return {
          name: String(2 * index),
          inputs,
          outputs,
          weight: values.slice(weightFirst, weightFirst + outputs * inputs),
          bias: values.slice(biasFirst, biasFirst + outputs),
        };
      }),
    );
  }

  free(): void {
    this.gpu.free(this.values);
  }

  /** What each layer gives; the caller frees all. */
  #forward(x: Tensor, rows: number): Tensor[] {
    const { gpu } = this;
    const given: Tensor[] = [];
    this.#layers.forEach(({ outputs, weight, bias }, index) => {
      const y = gpu.tensor(`${weight.label} output`, "f32", [rows, outputs]);
      const target = { y, stride: outputs, first: 0 };
      linear(gpu, matrixOf(weight), given.at(-1) ?? x, rows, target);
      addBiasTo(gpu, bias, target, rows);
      if (index < this.#layers.length - 1) {
        gpu.run(relu, { params: { rows, width: outputs }, buffers: { y } });
      }
      given.push(y);
    });
    return given;
  }

  #set(layers: readonly Pick<ClassifierLayer, "weight" | "bias">[]): void {
    const values = new Float32Array(this.values.shape[0]);
    this.#layers.forEach(({ outputs, weightFirst, biasFirst }, index) => {
      const { weight, bias } = layers[index];
      values.set(weight, weightFirst);
      values.fill(UNSEEN, biasFirst + bias.length, biasFirst + outputs);
      values.set(bias, biasFirst);
    });
    this.gpu.write(this.values, values);
  }
}

/** Trains a classifier on features from the host. */
export class FeatureTrainer implements ClassifierTrainer {
  readonly #classifier: Classifier;
  readonly #optimizer: AdamW;

  constructor(classifier: Classifier, options: OptimizerOptions) {
    this.#classifier = classifier;
    this.#optimizer = new AdamW(
      classifier.gpu,
      [{ prefix: "classifier.", values: classifier.values, splits: 1 }],
      options,
    );
  }

  async train(batches: readonly FeatureBatch[]): Promise<readonly StepResult[]> {
    const results: StepResult[] = [];
    const most = batches.reduce((most, { features }) => Math.max(most, features.length), 0);
    const perUpload = Math.max(1, Math.floor(UPLOAD_VALUES / (most * this.#classifier.shape.inputs)));
    for (let start = 0; start < batches.length; start += perUpload) {
      results.push(...await this.#train(batches.slice(start, start + perUpload), most));
    }
    return results;
  }

  free(): void {
    this.#optimizer.free();
  }

  /** Several steps in one go: what they read is uploaded at once, what they say is read at once. */
  async #train(batches: readonly FeatureBatch[], most: number): Promise<StepResult[]> {
    const { gpu, shape: { inputs } } = this.#classifier;
    const stride = aligned(most * inputs), rowStride = aligned(most);
    const features = new Float32Array(batches.length * stride);
    const labels = new Uint32Array(batches.length * rowStride);
    batches.forEach((batch, step) => {
      features.set(joined(batch.features, inputs), step * stride);
      labels.set(batch.labels, step * rowStride);
    });
    const x = gpu.upload("features", features, [batches.length, stride]);
    const y = gpu.upload("labels", labels, [batches.length, rowStride]);
    const losses = gpu.tensor("losses", "f32", [batches.length, rowStride]);
    const norms = gpu.tensor("norms", "f32", [batches.length, ALIGNMENT]);
    const step = (all: Tensor, index: number, shape: readonly number[]): Tensor => ({
      ...all,
      shape,
      offset: all.offset + 4 * index * all.shape[1],
    });
    batches.forEach(({ features: { length: rows }, learningRate }, index) => {
      this.#optimizer.clear();
      this.#classifier.loss({
        x: step(x, index, [rows, inputs]),
        labels: step(y, index, [rows]),
        loss: step(losses, index, [rows]),
        rows,
        scale: 1 / rows,
      }, this.#optimizer.gradients[0]);
      this.#optimizer.update(learningRate, step(norms, index, [1]));
    });
    const [loss, norm] = await gpu.read(losses, norms);
    gpu.free(x, y, losses, norms);
    return batches.map(({ features: { length: rows } }, index) => {
      let sum = 0;
      for (let row = 0; row < rows; row++) sum += loss[index * rowStride + row];
      return {
        choice: sum / rows,
        divergence: 0,
        gradientNorm: norm[index * ALIGNMENT],
      };
    });
  }
}

/** Features one behind the other. @throws {UserError} of kind `data` for one of another length */
function joined(features: readonly Float32Array<ArrayBuffer>[], inputs: number): Float32Array<ArrayBuffer> {
  const all = new Float32Array(features.length * inputs);
  features.forEach((feature, row) => {
    if (feature.length !== inputs) {
      throw dataError(
        `A feature has ${feature.length} values, but the classifier takes ${inputs}`,
        `feature ${row} of ${features.length}`,
        "use the classifier with the model and the layers that it was trained on",
      );
    }
    all.set(feature, row * inputs);
  });
  return all;
}

function aligned(count: number): number {
  return Math.ceil(count / ALIGNMENT) * ALIGNMENT;
}

/** Standard normal, by Box and Muller (1958). */
function normal(rng: Rng): number {
  const radius = Math.sqrt(-2 * Math.log(1 - rng.random()));
  return radius * Math.cos(2 * Math.PI * rng.random());
}
