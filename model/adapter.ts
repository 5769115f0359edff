import { UserError } from "../core/errors.ts";
import type { Adapter, AdapterInfo, LinearName, LoraOptions, TransformerDescription } from "../core/types.ts";
import type { Rng } from "../core/rng.ts";
import type { Gpu } from "../kernels/gpu.ts";
import type { Tensor } from "../kernels/tensor.ts";
import { type PlannedSite, planSites } from "./lora_sites.ts";

export { LINEAR_NAMES, linearShape } from "./lora_sites.ts";

/** Values between the starts of two matrices: WebGPU binds buffers at multiples of 256 bytes. */
const ALIGNMENT = 64;

/** LoRA on one linear layer: `y += scale · (drop(x) Aᵀ Bᵀ + bias)`. */
export interface LoraSite extends PlannedSite {
  /** Numbers the sites of a model, so that each has its own dropout. */
  readonly index: number;
  /** Rank in memory, rounded up to a multiple of 4; what is beyond the rank stays 0. */
  readonly paddedRank: number;
  /** `[paddedRank, inputs]` f32 */
  readonly a: Tensor;
  /** `[outputs, paddedRank]` f32 */
  readonly b: Tensor;
  /** `[outputs]` f32; only with `loraBias` */
  readonly bias?: Tensor;
  /** Where A, B and the bias start in the flat vector of all values. */
  readonly aFirst: number;
  readonly bFirst: number;
  readonly biasFirst?: number;
}

/** LoRA weights on the GPU: one flat vector, so that the optimizer is one kernel call. */
export class LoraAdapter implements Adapter {
  readonly options: LoraOptions;
  readonly info?: AdapterInfo;
  readonly parameters: number;
  /** All values, A, B and bias of every site, each at a multiple of 256 bytes; the gaps are 0. */
  readonly values: Tensor;
  readonly sites: readonly LoraSite[];
  readonly gpu: Gpu;
  readonly #byName: ReadonlyMap<string, LoraSite>;

  /** @param about what its folder says besides, and where its options come from, for errors */
  constructor(
    gpu: Gpu,
    model: TransformerDescription,
    options: LoraOptions,
    about: { readonly info?: AdapterInfo; readonly where?: string } = {},
  ) {
    checkNumbers(options);
    const sites = planSites(model, options, about.where ?? "options of the adapter");
    this.gpu = gpu;
    this.options = options;
    this.info = about.info;
    let first = 0;
    const place = (count: number): number => {
      const start = first;
      first = Math.ceil((first + count) / ALIGNMENT) * ALIGNMENT;
      return start;
    };
    const placed = sites.map((site) => {
      const paddedRank = Math.ceil(site.rank / 4) * 4;
      return {
        ...site,
        paddedRank,
        aFirst: place(paddedRank * site.inputs),
        bFirst: place(site.outputs * paddedRank),
        ...(options.loraBias ? { biasFirst: place(site.outputs) } : {}),
      };
    });
    this.values = gpu.tensor("adapter", "f32", [first]);
    const view = (label: string, start: number, shape: readonly number[]): Tensor => ({
      label,
      dtype: "f32",
      shape,
      buffer: this.values.buffer,
      offset: this.values.offset + 4 * start,
    });
    this.sites = placed.map((site, index) => {
      const { layer, name, inputs, outputs, paddedRank, aFirst, bFirst, biasFirst } = site;
      const label = `${name}.${layer}`;
      return {
        ...site,
        index,
        a: view(`${label}.lora_A`, aFirst, [paddedRank, inputs]),
        b: view(`${label}.lora_B`, bFirst, [outputs, paddedRank]),
        ...(biasFirst === undefined ? {} : { bias: view(`${label}.lora_B.bias`, biasFirst, [outputs]) }),
      };
    });
    this.#byName = new Map(this.sites.map((site) => [`${site.name}.${site.layer}`, site]));
    this.parameters = sites.reduce(
      (sum, { rank, inputs, outputs }) => sum + rank * (inputs + outputs) + (options.loraBias ? outputs : 0),
      0,
    );
  }

  /** The site on a linear layer, if it is adapted. */
  site(layer: number, name: LinearName): LoraSite | undefined {
    return this.#byName.get(`${name}.${layer}`);
  }

  /** PEFT's initial values: A uniform in ±1/√inputs, all else zero, so that the adapter changes nothing yet. */
  initialise(rng: Rng): void {
    const values = new Float32Array(this.values.shape[0]);
    for (const { layer, name, rank, inputs, aFirst } of this.sites) {
      const stream = rng.split(`${layer}.${name}`);
      const bound = 1 / Math.sqrt(inputs);
      for (let index = 0; index < rank * inputs; index++) {
        values[aFirst + index] = bound * (2 * stream.random() - 1);
      }
    }
    this.gpu.write(this.values, values);
  }

  free(): void {
    this.gpu.free(this.values);
  }
}

function checkNumbers({ rank, alpha, dropout, rankPattern = {}, alphaPattern = {} }: LoraOptions): void {
  const refuse = (what: string, fix: string) =>
    new UserError({ kind: "usage", what, where: "options of the adapter", fix });
  for (const value of [rank, ...Object.values(rankPattern)]) {
    if (!Number.isInteger(value) || value < 1) {
      throw refuse(`The rank is ${value}`, "use a whole number from 1");
    }
  }
  for (const value of [alpha, ...Object.values(alphaPattern)]) {
    if (!(value > 0 && value < Infinity)) throw refuse(`Alpha is ${value}`, "use a number above 0");
  }
  if (!(dropout >= 0 && dropout < 1)) throw refuse(`The dropout is ${dropout}`, "use a number in [0, 1)");
}
