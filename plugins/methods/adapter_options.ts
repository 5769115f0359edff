/** Options of the methods that train an adapter. */
import { checkOptions, type OptionLimit } from "../../core/mod.ts";

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
  /** Folder of an adapter to start from, whose own rank, alpha, dropout and layers count; "" for a fresh one. */
  readonly peftDir: string;
  /** Highest learning rate, per step. */
  readonly lr: number;
  /** Share of the steps over which the learning rate rises from 0. */
  readonly warmupRatio: number;
  /** Batches of which a step is made: their gradients are averaged over all rows. */
  readonly gradientAccumulationSteps: number;
  /** Tokens of a row at most, beyond which it is left out; 0 for what the model reads, beyond which it is refused. */
  readonly maxTokenLength: number;
  /** Steps from one checkpoint to the next; 0 for a tenth of all. */
  readonly saveSteps: number;
  /** Steps from one look at the validation rows to the next; 0 for a tenth of all. */
  readonly evalSteps: number;
}

/** The research code's recipe. */
export const ADAPTER_TRAINING: AdapterTrainingOptions = {
  loraRank: 8,
  loraAlpha: 32,
  loraDropout: 0.1,
  targetModules: ["q_proj", "v_proj"],
  peftDir: "",
  lr: 1e-4,
  warmupRatio: 0,
  gradientAccumulationSteps: 1,
  maxTokenLength: 0,
  saveSteps: 0,
  evalSteps: 0,
};

/** What they do, for `--help`. */
export const ADAPTER_TRAINING_HELP: Readonly<Record<keyof AdapterTrainingOptions, string>> = {
  loraRank: "rank of the adapter",
  loraAlpha: "its product is scaled by alpha / rank",
  loraDropout: "share of its inputs dropped in training",
  targetModules: "layers it adapts",
  peftDir: "adapter to start from; its own options count",
  lr: "highest learning rate; then a cosine to 0",
  warmupRatio: "share of the steps in which it rises",
  gradientAccumulationSteps: "batches of a step",
  maxTokenLength: "longer rows are left out; 0: the model decides",
  saveSteps: "steps between checkpoints; 0: a tenth of all",
  evalSteps: "steps between validations; 0: a tenth of all",
};

/** Refuses values with which nothing could be learned, before the first token is read. */
export function checkTrainingOptions<O extends AdapterTrainingOptions>(
  method: string,
  options: O,
  more: readonly OptionLimit<O>[] = [],
): void {
  const { loraRank, loraAlpha, loraDropout, targetModules, lr, warmupRatio } = options;
  const isCount = (value: number, least: number) => Number.isInteger(value) && value >= least;
  checkOptions({ kind: "method", name: method }, options, [
    ["loraRank", isCount(loraRank, 1), "a whole number from 1"],
    ["loraAlpha", loraAlpha > 0, "a number above 0"],
    ["loraDropout", loraDropout >= 0 && loraDropout < 1, "a number from 0 to below 1"],
    ["targetModules", targetModules.length > 0, "at least one layer, as in q_proj,v_proj"],
    ["lr", lr > 0, "a number above 0"],
    ["warmupRatio", warmupRatio >= 0 && warmupRatio <= 1, "a number from 0 to 1"],
    ["gradientAccumulationSteps", isCount(options.gradientAccumulationSteps, 1), "a whole number from 1"],
    ["maxTokenLength", isCount(options.maxTokenLength, 0), "a whole number from 0"],
    ["saveSteps", isCount(options.saveSteps, 0), "a whole number from 0"],
    ["evalSteps", isCount(options.evalSteps, 0), "a whole number from 0"],
    ...more,
  ]);
}
