/** A language model whose weights are loaded when they are first needed, and hidden states kept from run to run. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { FeatureCache } from "../core/feature_cache.ts";
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
import { Checkpoint } from "./checkpoint.ts";
import { Classifier, FeatureTrainer } from "./classifier.ts";
import { checkSpans, layerNumbers } from "./hidden_states.ts";
import { modelFingerprint, weightsFingerprint } from "./fingerprint.ts";
import { openDescription, type OpenModel, ownClassifier } from "./language_model.ts";
import { SafetensorsFile } from "./safetensors.ts";
import type { WeightType } from "./weights.ts";

/** Raised when the engine gives other hidden states than before: those of earlier versions are not used then. */
const FEATURES_VERSION = 1;

/** Rows that are written to the cache at once: what a killed program loses at most. */
const ROWS_PER_FILE = 256;

/** How a model is deferred. */
export interface DeferOptions {
  /** What it is called in messages and manifests. */
  readonly name: string;
  /** `auto` unless given. */
  readonly dtype?: WeightType;
  /** Loads the weights, when they are first needed. */
  readonly open: () => Promise<OpenModel>;
  /** Where hidden states of the frozen model are kept; they are computed each time without. */
  readonly cache?: FeatureCache;
  /** Told how many of the rows whose hidden states are wanted have theirs in the cache. */
  readonly onCached?: (found: number, rows: number) => void;
}

/** A language model that may not be loaded yet. */
export interface DeferredModel extends LanguageModel {
  /** As of the model itself; it is known before. */
  readonly fingerprint: string;
  /** Whether its weights were needed. */
  readonly opened: boolean;
}

/**
 * A model of which only configuration and tokenizer are read until something needs its weights. Hidden states of the
 * frozen model come from the cache where it has them; classifiers are trained without the weights.
 *
 * @param folder of a Hugging Face checkpoint
 * @param families the model plugins; the one that knows the `model_type` describes the model
 * @example
 * ```ts no-eval
 * import {
 *   builtins, deferLanguageModel, FeatureCache, Gpu, isModelFamily, openLanguageModel,
 * } from "@credence/credence";
 *
 * const families = builtins.filter(isModelFamily);
 * const gpu = await Gpu.open(), folder = "path/to/checkpoint";
 * const model = await deferLanguageModel(gpu, folder, families, {
 *   name: "mine",
 *   open: () => openLanguageModel(gpu, folder, families),
 *   cache: new FeatureCache("path/to/cache"),
 * });
 * ```
 */
export async function deferLanguageModel(
  gpu: Gpu,
  folder: string,
  families: readonly ModelFamily[],
  options: DeferOptions,
): Promise<DeferredModel> {
  const { description, tokenizer } = await openDescription(folder, families);
  const group = options.cache ? await featureGroup(folder, options.dtype ?? "auto") : "";
  using checkpoint = await Checkpoint.open(folder);
  const fingerprint = await weightsFingerprint(checkpoint);
  return new Deferred(gpu, description, tokenizer, { group, fingerprint }, options);
}

/**
 * Names what hidden states depend on besides tokens and layer: the model's files, the type of its weights, and the
 * version of the engine. Of every tensor the beginning is read, so that two fine-tuned models are not taken for one.
 */
async function featureGroup(folder: string, dtype: WeightType): Promise<string> {
  const hash = createHash("sha256").update(
    `${FEATURES_VERSION}\0${dtype}\0${await modelFingerprint(folder)}\0`,
  );
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  const buffer = new Uint8Array(4096);
  for (const name of names.filter((name) => name.endsWith(".safetensors")).sort()) {
    using file = await SafetensorsFile.open(join(folder, name));
    for (const entry of file.tensors.values()) {
      for await (const chunk of file.chunks(entry, buffer)) {
        hash.update(`${name}\0${entry.name}\0`).update(chunk);
        break;
      }
    }
  }
  return hash.digest("hex").slice(0, 32);
}

class Deferred implements DeferredModel {
  readonly name: string;
  readonly fingerprint: string;
  readonly tokenizer: Tokenizer;
  readonly #gpu: Gpu;
  readonly #description: TransformerDescription;
  readonly #group: string;
  readonly #options: DeferOptions;
  #opening?: Promise<OpenModel>;
  #model?: OpenModel;

  constructor(
    gpu: Gpu,
    description: TransformerDescription,
    tokenizer: Tokenizer,
    { group, fingerprint }: { readonly group: string; readonly fingerprint: string },
    options: DeferOptions,
  ) {
    this.name = options.name;
    this.fingerprint = fingerprint;
    this.tokenizer = tokenizer;
    this.#gpu = gpu;
    this.#description = description;
    this.#group = group;
    this.#options = options;
  }

  get opened(): boolean {
    return this.#model !== undefined;
  }

  get contextLength(): number {
    return this.#description.contextLength;
  }

  get width(): number {
    return this.#description.width;
  }

  get blocks(): number {
    return this.#description.layers;
  }

  async *generate(
    prompts: readonly (readonly number[])[],
    options: GenerationOptions,
  ): AsyncIterable<Continuation> {
    yield* (await this.#open()).generate(prompts, options);
  }

  async *tokenLogits(
    sequences: readonly (readonly number[])[],
    tokens: readonly number[],
    options: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<readonly number[]> {
    yield* (await this.#open()).tokenLogits(sequences, tokens, options);
  }

  async *scoreContinuations(
    sequences: readonly ContinuedSequence[],
    options: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<ContinuationScore> {
    yield* (await this.#open()).scoreContinuations(sequences, options);
  }

  async *hiddenStates(
    spans: readonly TokenSpan[],
    options: HiddenStateOptions,
  ): AsyncIterable<Float32Array<ArrayBuffer>> {
    const { cache, onCached } = this.#options;
    const layers = layerNumbers(options.layers, this.blocks);
    checkSpans(spans, this.contextLength);
    if (!cache || options.adapter) {
      yield* (await this.#open()).hiddenStates(spans, { ...options, layers });
      return;
    }
    const keys = spans.map((span) => layers.map((layer) => featureKey(span, layer)));
    const known = await cache.read(this.#group, new Set(keys.flat()));
    const isKnown = (row: number) => keys[row].every((key) => known.has(key));
    const rows = [...spans.keys()];
    onCached?.(rows.filter(isKnown).length, rows.length);
    // Rows of one text are computed once.
    const first = new Set<string>();
    const todo = rows.filter((row) => !isKnown(row) && first.size < first.add(keys[row].join()).size);
    const fresh = new Map<string, Float32Array<ArrayBuffer>>();
    const computed = todo.length === 0 ? undefined : (await this.#open()).hiddenStates(
      todo.map((row) => spans[row]),
      { ...options, layers },
    )[Symbol.asyncIterator]();
    try {
      for (const row of rows) {
        if (!isKnown(row)) {
          const { value } = await computed!.next() as IteratorYieldResult<Float32Array<ArrayBuffer>>;
          keys[row].forEach((key, index) => {
            const state = value.slice(index * this.width, (index + 1) * this.width);
            if (!known.has(key)) fresh.set(key, state);
            known.set(key, state);
          });
          if (fresh.size >= ROWS_PER_FILE * layers.length) await this.#keep(cache, fresh);
        }
        yield joined(keys[row].map((key) => known.get(key)!));
      }
    } finally {
      await computed?.return?.();
      await this.#keep(cache, fresh);
    }
  }

  async createAdapter(options: LoraOptions, rng: Rng): Promise<Adapter> {
    return await (await this.#open()).createAdapter(options, rng);
  }

  async loadAdapter(folder: string): Promise<Adapter> {
    return await (await this.#open()).loadAdapter(folder);
  }

  async saveAdapter(adapter: Adapter, folder: string, asked?: AdapterQuery): Promise<void> {
    await (await this.#open()).saveAdapter(adapter, folder, asked);
  }

  createTrainer(
    adapter: Adapter,
    options: OptimizerOptions,
    seed: number,
    parts?: TrainerParts,
  ): Trainer {
    // Whoever has an adapter got it from the model, which is open then.
    if (!this.#model) throw new TypeError("This adapter was not made by this model");
    return this.#model.createTrainer(adapter, options, seed, parts);
  }

  createClassifier(shape: ClassifierShape, rng: Rng): Promise<ClassifierHead> {
    return Promise.resolve(Classifier.create(this.#gpu, shape, rng));
  }

  loadClassifier(folder: string): Promise<ClassifierHead> {
    return Classifier.load(this.#gpu, folder);
  }

  createClassifierTrainer(classifier: ClassifierHead, options: OptimizerOptions): ClassifierTrainer {
    return new FeatureTrainer(ownClassifier(classifier), options);
  }

  async #open(): Promise<OpenModel> {
    return this.#model = await (this.#opening ??= this.#options.open());
  }

  async #keep(cache: FeatureCache, fresh: Map<string, Float32Array<ArrayBuffer>>): Promise<void> {
    await cache.write(this.#group, fresh);
    fresh.clear();
  }
}

/** Names a hidden state by all that it depends on within one model. */
function featureKey({ tokens, first, end }: TokenSpan, layer: number): string {
  const numbers = Uint32Array.of(layer, first, end, ...tokens.slice(0, end));
  return createHash("sha256").update(new Uint8Array(numbers.buffer)).digest("hex");
}

function joined(parts: readonly Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0];
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    all.set(part, start);
    start += part.length;
  }
  return all;
}
