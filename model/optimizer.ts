/** AdamW over one or several vectors of values, their gradients clipped by one norm over all. */
import { join } from "node:path";
import { dataError, writeJsonAtomic } from "../core/files.ts";
import type { OptimizerOptions } from "../core/types.ts";
import { adamw } from "../kernels/adamw.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { gradientNorm, gradientNormGroups } from "../kernels/gradient_norm.ts";
import type { Tensor } from "../kernels/tensor.ts";
import { readConfigFile } from "./config_file.ts";
import type { Gradient } from "./linear.ts";
import { SafetensorsFile, writeSafetensors } from "./safetensors.ts";

/** Values between the starts of two partial sums: WebGPU binds buffers at multiples of 256 bytes. */
const ALIGNMENT = 64;

/** Values that are trained. */
export interface Trained {
  /** In front of the names of its state, as in `classifier.`; may be empty. */
  readonly prefix: string;
  /** `[count]` f32, changed by each step; `count` a multiple of 4. */
  readonly values: Tensor;
  /** Copies of the gradient that are summed up to it, so that more workgroups can add to it at once. */
  readonly splits: number;
}

interface Part extends Trained {
  readonly gradient: Gradient;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly partialFirst: number;
}

/** The state of one training. */
export class AdamW {
  /** Steps taken so far. */
  step = 0;
  /** Euclidean norm of the last step's gradient over all values, before clipping: `[1]`. */
  readonly norm: Tensor;
  readonly #gpu: Gpu;
  readonly #options: OptimizerOptions;
  readonly #parts: readonly Part[];
  readonly #partial: Tensor;
  readonly #groups: number;

  constructor(gpu: Gpu, trained: readonly Trained[], options: OptimizerOptions) {
    this.#gpu = gpu;
    this.#options = options;
    let end = 0;
    this.#parts = trained.map((part) => {
      const [count] = part.values.shape;
      const partialFirst = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
      end = partialFirst + gradientNormGroups(count);
      const gradient = gpu.tensor(`${part.prefix}gradient`, "f32", [part.splits, count]);
      const m = gpu.tensor(`${part.prefix}adamw m`, "f32", [count]);
      const v = gpu.tensor(`${part.prefix}adamw v`, "f32", [count]);
      gpu.clear(m);
      gpu.clear(v);
      return { ...part, gradient: { values: gradient, splits: part.splits }, m, v, partialFirst };
    });
    this.#groups = end;
    this.#partial = gpu.tensor("gradient norm parts", "f32", [end]);
    // The gaps between the parts' sums stay 0.
    gpu.clear(this.#partial);
    this.norm = gpu.tensor("gradient norm", "f32", [1]);
  }

  /** Where the gradient of each vector is added up, in their order. */
  get gradients(): readonly Gradient[] {
    return this.#parts.map(({ gradient }) => gradient);
  }

  /** Sets all gradients to 0. */
  clear(): void {
    for (const { gradient } of this.#parts) this.#gpu.clear(gradient.values);
  }

  /** Sums the gradients, clips them, and takes one step. @param norm where the norm goes: `[1]` */
  update(learningRate: number, norm: Tensor = this.norm): void {
    const gpu = this.#gpu;
    const { beta1, beta2, epsilon, weightDecay, maxGradientNorm } = this.#options;
    this.step++;
    for (const { values, gradient, splits, partialFirst } of this.#parts) {
      const [count] = values.shape;
      const partial = {
        ...this.#partial,
        shape: [gradientNormGroups(count)],
        offset: this.#partial.offset + 4 * partialFirst,
      };
      gpu.run(gradientNorm, { params: { count, splits }, buffers: { gradient: gradient.values, partial } });
    }
    for (const { values, gradient, m, v } of this.#parts) {
      gpu.run(adamw, {
        params: {
          count: values.shape[0],
          groups: this.#groups,
          learning_rate: learningRate,
          beta1,
          beta2,
          eps: epsilon,
          weight_decay: weightDecay,
          correction1: 1 - beta1 ** this.step,
          correction2: 1 - beta2 ** this.step,
          max_norm: maxGradientNorm,
        },
        buffers: { gradient: gradient.values, partial: this.#partial, parameters: values, m, v, norm },
      });
    }
  }

  /** Writes `optimizer.safetensors` and `optimizer.json`; `about` is kept in the latter. */
  async save(folder: string, about: Readonly<Record<string, number>>): Promise<void> {
    const tensors = [];
    for (const { name, tensor } of this.#state()) {
      tensors.push({ name, shape: tensor.shape, values: await this.#gpu.readF32(tensor) });
    }
    await writeSafetensors(join(folder, "optimizer.safetensors"), tensors);
    await writeJsonAtomic(join(folder, "optimizer.json"), { step: this.step, ...about, ...this.#options });
  }

  /** Takes up what {@linkcode AdamW.save} wrote. @throws {UserError} of kind `data` if it does not fit */
  async load(folder: string): Promise<void> {
    using file = await SafetensorsFile.open(join(folder, "optimizer.safetensors"));
    for (const { name, tensor } of this.#state()) {
      const entry = file.tensors.get(name);
      if (entry?.shape.join() !== tensor.shape.join()) {
        throw dataError(
          `Tensor "${name}" does not fit what is trained`,
          file.path,
          "train into another --log-dir",
        );
      }
      this.#gpu.write(tensor, await file.values(entry));
    }
    const path = join(folder, "optimizer.json");
    const { step } = await readConfigFile(path);
    if (!Number.isInteger(step)) throw dataError("The step is missing", path, "train into another --log-dir");
    this.step = step as number;
  }

  free(): void {
    for (const { gradient, m, v } of this.#parts) this.#gpu.free(gradient.values, m, v);
    this.#gpu.free(this.#partial, this.norm);
  }

  #state(): readonly { readonly name: string; readonly tensor: Tensor }[] {
    return this.#parts.flatMap(({ prefix, m, v }) => [
      { name: `${prefix}exp_avg`, tensor: m },
      { name: `${prefix}exp_avg_sq`, tensor: v },
    ]);
  }
}
