import { UserError } from "../core/errors.ts";
import { dataError } from "../core/files.ts";
import type { Adapter, LinearName, LoraOptions, TransformerDescription } from "../core/types.ts";
import type { Rng } from "../core/rng.ts";
import type { Gpu } from "../kernels/gpu.ts";
import type { Tensor } from "../kernels/tensor.ts";

/** The linear layers of a transformer block, in the order of the forward pass. */
export const LINEAR_NAMES: readonly LinearName[] = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
];

/** Values between the starts of two matrices: WebGPU binds buffers at multiples of 256 bytes. */
const ALIGNMENT = 64;

/** LoRA on one linear layer: `y += scale · drop(x) Aᵀ Bᵀ`. */
export interface LoraSite {
  readonly layer: number;
  readonly name: LinearName;
  /** Numbers the sites of a model, so that each has its own dropout. */
  readonly index: number;
  readonly inputs: number;
  readonly outputs: number;
  /** Rank in memory, rounded up to a multiple of 4; what is beyond the adapter's rank stays 0. */
  readonly rank: number;
  /** `[rank, inputs]` f32 */
  readonly a: Tensor;
  /** `[outputs, rank]` f32 */
  readonly b: Tensor;
  /** Where A and B start in the flat vector of all values. */
  readonly aFirst: number;
  readonly bFirst: number;
}

/** LoRA weights on the GPU: one flat vector, so that the optimizer is one kernel call. */
export class LoraAdapter implements Adapter {
  readonly options: LoraOptions;
  readonly parameters: number;
  /** All values, A and B of every site, each at a multiple of 256 bytes; the gaps are 0. */
  readonly values: Tensor;
  readonly sites: readonly LoraSite[];
  /** Factor of the product: alpha / rank. */
  readonly scale: number;
  readonly gpu: Gpu;

  constructor(gpu: Gpu, model: TransformerDescription, options: LoraOptions) {
    checkNumbers(options);
    const unknown = options.targetModules.filter((name) => !LINEAR_NAMES.includes(name as LinearName));
    if (unknown.length > 0 || options.targetModules.length === 0) {
      throw dataError(
        unknown.length > 0 ? `No linear layer is called "${unknown[0]}"` : "No layer is adapted",
        "target modules of the adapter",
        `name some of ${LINEAR_NAMES.join(", ")}`,
      );
    }
    this.gpu = gpu;
    this.options = options;
    this.scale = options.alpha / options.rank;
    const rank = Math.ceil(options.rank / 4) * 4;
    const targets = LINEAR_NAMES.filter((name) => options.targetModules.includes(name));
    let first = 0;
    const place = (count: number): number => {
      const start = first;
      first = Math.ceil((first + count) / ALIGNMENT) * ALIGNMENT;
      return start;
    };
    const plan = Array.from({ length: model.layers }, (_, layer) => layer).flatMap((layer) =>
      targets.map((name) => {
        const { inputs, outputs } = linearShape(model, name);
        return {
          layer,
          name,
          inputs,
          outputs,
          rank,
          aFirst: place(rank * inputs),
          bFirst: place(outputs * rank),
        };
      })
    );
    this.values = gpu.tensor("adapter", "f32", [first]);
    const view = (label: string, start: number, shape: readonly number[]): Tensor => ({
      label,
      dtype: "f32",
      shape,
      buffer: this.values.buffer,
      offset: this.values.offset + 4 * start,
    });
    this.sites = plan.map((site, index) => ({
      ...site,
      index,
      a: view(`${site.name}.${site.layer}.lora_A`, site.aFirst, [rank, site.inputs]),
      b: view(`${site.name}.${site.layer}.lora_B`, site.bFirst, [site.outputs, rank]),
    }));
    this.parameters = plan.reduce((sum, { inputs, outputs }) => sum + options.rank * (inputs + outputs), 0);
  }

  /** The site on a linear layer, if it is adapted. */
  site(layer: number, name: LinearName): LoraSite | undefined {
    return this.sites.find((site) => site.layer === layer && site.name === name);
  }

  /** PEFT's initial values: A uniform in ±1/√inputs, B zero, so that the adapter changes nothing yet. */
  initialise(rng: Rng): void {
    const values = new Float32Array(this.values.shape[0]);
    for (const { layer, name, inputs, aFirst } of this.sites) {
      const stream = rng.split(`${layer}.${name}`);
      const bound = 1 / Math.sqrt(inputs);
      for (let index = 0; index < this.options.rank * inputs; index++) {
        values[aFirst + index] = bound * (2 * stream.random() - 1);
      }
    }
    this.gpu.write(this.values, values);
  }

  free(): void {
    this.gpu.free(this.values);
  }
}

function checkNumbers({ rank, alpha, dropout }: LoraOptions): void {
  const refuse = (what: string, fix: string) =>
    new UserError({ kind: "usage", what, where: "options of the adapter", fix });
  if (!Number.isInteger(rank) || rank < 1) {
    throw refuse(`The rank is ${rank}`, "use a whole number from 1");
  }
  if (!(alpha > 0 && alpha < Infinity)) throw refuse(`Alpha is ${alpha}`, "use a number above 0");
  if (!(dropout >= 0 && dropout < 1)) throw refuse(`The dropout is ${dropout}`, "use a number in [0, 1)");
}

/** Inputs and outputs of a linear layer. */
export function linearShape(
  model: TransformerDescription,
  name: LinearName,
): { inputs: number; outputs: number } {
  const { width, heads, kvHeads, headDim, feedForward } = model;
  switch (name) {
    case "q_proj":
      return { inputs: width, outputs: heads * headDim };
    case "k_proj":
    case "v_proj":
      return { inputs: width, outputs: kvHeads * headDim };
    case "o_proj":
      return { inputs: heads * headDim, outputs: width };
    case "gate_proj":
    case "up_proj":
      return { inputs: width, outputs: feedForward };
    case "down_proj":
      return { inputs: feedForward, outputs: width };
  }
}
