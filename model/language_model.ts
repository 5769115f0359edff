import { basename, join } from "node:path";
import { checkBaseModel } from "../core/base_model.ts";
import { UserError } from "../core/errors.ts";
import { dataError } from "../core/files.ts";
import type {
  Adapter,
  AdapterQuery,
  ClassifierHead,
  ClassifierShape,
  ClassifierTrainer,
  Continuation,
  ContinuationScore,
  ContinuedSequence,
  GenerationOptions,
  HiddenStateOptions,
  LanguageModel,
  LoraOptions,
  ModelFamily,
  OptimizerOptions,
  Tokenizer,
  TokenSpan,
  Trainer,
  TrainerParts,
  TransformerDescription,
} from "../core/types.ts";
import type { Rng } from "../core/rng.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { LoraAdapter } from "./adapter.ts";
import { checkActsThroughout } from "./activation.ts";
import { checkSequences, inBatches, packGroups } from "./batch.ts";
import { Checkpoint } from "./checkpoint.ts";
import { Classifier, FeatureTrainer } from "./classifier.ts";
import { readConfigFile } from "./config_file.ts";
import { scoreContinuations } from "./continuations.ts";
import { generate } from "./generator.ts";
import { checkSpans, layerNumbers } from "./hidden_states.ts";
import type { KeptAnswer } from "./kept_answer.ts";
import { lastLogits } from "./last_logits.ts";
import { Llama } from "./llama.ts";
import { averages } from "./ops.ts";
import { checkTargets } from "./lora_sites.ts";
import { readBaseModel, weightsFingerprint } from "./fingerprint.ts";
import { loadAdapter, saveAdapter } from "./peft.ts";
import { openTokenizer, tokenizerPath } from "./tokenizer.ts";
import { PrefixCache } from "./prefix_cache.ts";
import { LoraTrainer } from "./trainer.ts";
import { allTensors, type LoadOptions, loadWeights } from "./weights.ts";

/** A language model on the GPU. */
export interface OpenModel extends LanguageModel {
  /** Its shape, as its family's plugin read it from `config.json`. */
  readonly description: TransformerDescription;
  /**
   * The transformer itself, for those who need more than {@linkcode LanguageModel} offers.
   *
   * @internal
   */
  readonly transformer: Llama;
  /** Where its files lie. */
  readonly folder: string;
  /** Frees its weights. */
  close(): void;
}

/** How a model is opened. */
export interface OpenOptions extends LoadOptions {
  /** What it is called in messages and manifests; its folder's name unless given. */
  readonly name?: string;
}

/**
 * Opens a Hugging Face checkpoint.
 *
 * @param folder with `config.json`, `tokenizer.json` or `tokenizer.model`, and safetensors files
 * @param families the model plugins; the one that knows the `model_type` describes the model
 * @example A frozen base in eight bits
 * ```ts no-eval
 * import { builtins, Gpu, isModelFamily, openLanguageModel } from "@credence/credence";
 *
 * const families = builtins.filter(isModelFamily);
 * const model = await openLanguageModel(await Gpu.open(), "path/to/checkpoint", families, { dtype: "int8" });
 * ```
 */
export async function openLanguageModel(
  gpu: Gpu,
  folder: string,
  families: readonly ModelFamily[],
  { name = basename(folder), ...options }: OpenOptions = {},
): Promise<OpenModel> {
  const { description, tokenizer } = await openDescription(folder, families);
  using checkpoint = await Checkpoint.open(folder);
  const weights = await loadWeights(gpu, checkpoint, description, options);
  const transformer = new Llama(gpu, description, weights);
  return new LlamaLanguageModel(name, folder, await weightsFingerprint(checkpoint), transformer, tokenizer);
}

/**
 * What is known of a model without its weights.
 *
 * @throws {UserError} of kind `data` if tokenizer and configuration do not go together
 */
export async function openDescription(
  folder: string,
  families: readonly ModelFamily[],
): Promise<{ readonly description: TransformerDescription; readonly tokenizer: Tokenizer }> {
  const description = describe(await readConfigFile(join(folder, "config.json")), families, folder);
  const tokenizer = await openTokenizer(folder);
  if (tokenizer.vocabulary > description.vocabulary) {
    throw dataError(
      `The tokenizer has ${tokenizer.vocabulary} tokens, but the model ${description.vocabulary}`,
      await tokenizerPath(folder),
      "use the tokenizer and the weights of the same model",
    );
  }
  return { description, tokenizer };
}

function describe(
  config: Record<string, unknown>,
  families: readonly ModelFamily[],
  folder: string,
): TransformerDescription {
  const family = families.find(({ modelTypes }) => modelTypes.includes(config.model_type as string));
  if (!family) {
    const known = families.flatMap(({ modelTypes }) => modelTypes);
    throw dataError(
      `model_type is ${JSON.stringify(config.model_type)}`,
      join(folder, "config.json"),
      `use a model of type ${known.join(", ")}, or load a plugin for this one`,
    );
  }
  return checkedDescription(family.describe(config), family);
}

/** Numbers that every transformer is described by. */
const SIZES = [
  "layers",
  "width",
  "heads",
  "kvHeads",
  "headDim",
  "feedForward",
  "vocabulary",
  "contextLength",
  "normEpsilon",
  "ropeTheta",
] as const;

/** The description, if it has all its numbers. @throws {UserError} of kind `plugin` naming the first that is none */
function checkedDescription(
  description: TransformerDescription,
  { name }: ModelFamily,
): TransformerDescription {
  const wrong = SIZES.find((key) => !(Number.isFinite(description?.[key]) && description[key] > 0));
  if (wrong === undefined) return description;
  throw new UserError({
    kind: "plugin",
    what: `Model plugin "${name}" gave ${description?.[wrong]} as ${wrong}`,
    where: "describe()",
    fix: "give a number above 0; see TransformerDescription",
  });
}

class LlamaLanguageModel implements OpenModel {
  readonly name: string;
  readonly folder: string;
  readonly fingerprint: string;
  readonly transformer: Llama;
  readonly tokenizer: Tokenizer;
  /** The answer to the last prompt, if it was a single one: it may be asked about next. */
  #answer?: KeptAnswer;

  constructor(
    name: string,
    folder: string,
    fingerprint: string,
    transformer: Llama,
    tokenizer: Tokenizer,
  ) {
    this.name = name;
    this.folder = folder;
    this.fingerprint = fingerprint;
    this.transformer = transformer;
    this.tokenizer = tokenizer;
  }

  get description(): TransformerDescription {
    return this.transformer.description;
  }

  get contextLength(): number {
    return this.description.contextLength;
  }

  get width(): number {
    return this.description.width;
  }

  get blocks(): number {
    return this.description.layers;
  }

  generate(prompts: readonly (readonly number[])[], options: GenerationOptions): AsyncIterable<Continuation> {
    this.#keep(undefined);
    return generate(
      this.transformer,
      prompts,
      this.tokenizer.stopTokens,
      options,
      undefined,
      (answer) => this.#keep(answer),
    );
  }

  async *tokenLogits(
    sequences: readonly (readonly number[])[],
    tokens: readonly number[],
    { batchSize, adapter }: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<readonly number[]> {
    const { gpu } = this.transformer;
    if (!(batchSize >= 1)) throw new RangeError(`tokenLogits() needs a batchSize from 1, got ${batchSize}`);
    checkSequences(sequences, this.contextLength);
    const own = ownAdapter(adapter);
    const ids = gpu.upload("answer tokens", Uint32Array.from(tokens));
    // Nobody asks twice about one sequence.
    const prefixes = own?.options.invocationTokens ? new PrefixCache(this.transformer, 0) : undefined;
    try {
      for (const batch of inBatches(sequences, batchSize, ({ length }) => length)) {
        const how = { adapter: own, prefixes, answer: this.#answer };
        const logits = await lastLogits(this.transformer, batch, ids, how);
        for (let row = 0; row < logits.length; row += tokens.length) {
          yield [...logits.subarray(row, row + tokens.length)];
        }
      }
    } finally {
      gpu.free(ids);
      prefixes?.free();
    }
  }

  scoreContinuations(
    sequences: readonly ContinuedSequence[],
    { batchSize, adapter }: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<ContinuationScore> {
    checkActsThroughout("Scoring continuations", adapter?.options);
    return scoreContinuations(this.transformer, sequences, batchSize, ownAdapter(adapter));
  }

  async *hiddenStates(
    spans: readonly TokenSpan[],
    { layers, batchSize, adapter }: HiddenStateOptions,
  ): AsyncIterable<Float32Array<ArrayBuffer>> {
    if (!(batchSize >= 1)) throw new RangeError(`hiddenStates() needs a batchSize from 1, got ${batchSize}`);
    checkActsThroughout("Reading hidden states", adapter?.options);
    const numbers = layerNumbers(layers, this.blocks);
    checkSpans(spans, this.contextLength);
    for (const batch of inBatches(spans, batchSize, ({ end }) => end)) {
      yield* await this.#states(batch, numbers, ownAdapter(adapter));
    }
  }

  createAdapter(options: LoraOptions, rng: Rng): Promise<Adapter> {
    checkTargets(this.description, options);
    const adapter = new LoraAdapter(this.transformer.gpu, this.description, options);
    adapter.initialise(rng);
    return Promise.resolve(adapter);
  }

  async loadAdapter(folder: string): Promise<Adapter> {
    checkBaseModel(this, await readBaseModel(folder), "adapter", folder);
    return await loadAdapter(this.transformer.gpu, this.description, folder);
  }

  saveAdapter(adapter: Adapter, folder: string, asked?: AdapterQuery): Promise<void> {
    return saveAdapter(ownAdapter(adapter)!, folder, this.name, asked, this.fingerprint);
  }

  createTrainer(
    adapter: Adapter,
    options: OptimizerOptions,
    seed: number,
    parts?: TrainerParts,
  ): Trainer {
    return new LoraTrainer(this.transformer, ownAdapter(adapter)!, options, seed, {
      reference: ownAdapter(parts?.reference),
      classifier: parts?.classifier && ownClassifier(parts.classifier),
    });
  }

  createClassifier(shape: ClassifierShape, rng: Rng): Promise<ClassifierHead> {
    return Promise.resolve(Classifier.create(this.transformer.gpu, shape, rng));
  }

  loadClassifier(folder: string): Promise<ClassifierHead> {
    return Classifier.load(this.transformer.gpu, folder);
  }

  createClassifierTrainer(classifier: ClassifierHead, options: OptimizerOptions): ClassifierTrainer {
    return new FeatureTrainer(ownClassifier(classifier), options);
  }

  close(): void {
    this.#keep(undefined);
    this.transformer.free();
    this.transformer.gpu.free(...allTensors(this.transformer.weights));
    // Another model has other sizes.
    this.transformer.gpu.trim();
  }

  /** Hidden states of some spans, the layers of each one behind the other. */
  async #states(spans: readonly TokenSpan[], layers: readonly number[], adapter?: LoraAdapter) {
    const { gpu } = this.transformer;
    // What stands behind a span cannot act on it.
    const groups = spans.map(({ tokens, end }, id) => ({ id, prefix: tokens.slice(0, end), branches: [] }));
    let before = 0;
    const outputs = spans.flatMap(({ first, end }) => {
      const rows = Array.from({ length: end - first }, (_, index) => before + first + index);
      before += end;
      return rows;
    });
    const [adapted, plain] = adapter ? [groups, []] : [[], groups];
    const batch = packGroups(gpu, { adapted, plain, outputs, backward: false }, this.transformer.headGroup);
    const distinct = [...new Set(layers)];
    const states = this.transformer.hiddenStates(
      batch,
      distinct,
      adapter && { adapter, rows: batch.adaptedRows },
    );
    const lengths = spans.map(({ first, end }) => end - first);
    const means = states.map((state) => averages(gpu, state, lengths));
    batch.free();
    const values = await gpu.read(...means);
    gpu.free(...new Set([...states, ...means]));
    const { width } = this;
    return spans.map((_, row) => {
      const features = new Float32Array(layers.length * width);
      layers.forEach((layer, index) => {
        const all = values[distinct.indexOf(layer)];
        features.set(all.subarray(row * width, (row + 1) * width), index * width);
      });
      return features;
    });
  }

  #keep(answer: KeptAnswer | undefined): void {
    this.#answer?.free();
    this.#answer = answer;
  }
}

/** Classifiers are opaque to methods; the engine takes back only its own. */
export function ownClassifier(classifier: ClassifierHead): Classifier {
  if (classifier instanceof Classifier) return classifier;
  throw new TypeError("This classifier was not made by this model: use createClassifier or loadClassifier");
}

/** Adapters are opaque to methods; the engine takes back only its own. */
function ownAdapter(adapter: Adapter | undefined): LoraAdapter | undefined {
  if (adapter === undefined || adapter instanceof LoraAdapter) return adapter;
  throw new TypeError("This adapter was not made by this model: use createAdapter or loadAdapter");
}
