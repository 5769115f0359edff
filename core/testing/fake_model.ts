import { readJson, writeJsonAtomic } from "../files.ts";
import type {
  Adapter,
  AdapterInfo,
  AdapterQuery,
  ChatMessage,
  ClassifierHead,
  ClassifierShape,
  ClassifierTrainer,
  Continuation,
  ContinuationScore,
  ContinuedSequence,
  FeatureBatch,
  GenerationOptions,
  HiddenStateOptions,
  LanguageModel,
  LoraOptions,
  OptimizerOptions,
  StepResult,
  Tokenizer,
  TokenSpan,
  Trainer,
  TrainerParts,
  TrainingExample,
} from "../types.ts";

/** How a {@linkcode FakeModel} behaves. */
export interface FakeModelOptions {
  /** What it writes after a prompt; nothing by default. */
  readonly answer?: (prompt: string) => string;
  /**
   * How sure it could be of what stands before a question about an answer: what training makes it say. It is also the
   * log-odds of the last token of a text, in nats.
   */
  readonly evidence?: (text: string) => number;
  /** Longest sequence, in tokens. */
  readonly contextLength?: number;
  /** What it reads of a chat; without it, it is no chat model. */
  readonly chat?: (messages: readonly ChatMessage[]) => string;
}

/**
 * A language model without a GPU, for testing plugins and stages.
 *
 * Words are its tokens. Its adapter is one weight, by which the evidence is multiplied: untrained it says nothing,
 * trained it tells right answers from wrong ones as well as the evidence does.
 */
export class FakeModel implements LanguageModel {
  /** Marks manifests and messages of tests. */
  readonly name = "fake";
  readonly contextLength: number;
  /** Hidden states are the evidence and 1, times one more than the layer, and zeros. */
  readonly width = 4;
  /** As many as it takes for layers to differ. */
  readonly blocks = 2;
  /** Splits at blanks, and learns words as it meets them. */
  readonly tokenizer: Tokenizer;
  readonly #answer: (prompt: string) => string;
  readonly #evidence: (text: string) => number;

  /** Writes nothing and knows nothing unless told otherwise. */
  constructor(
    { answer = () => "", evidence = () => 0, contextLength = 4096, chat }: FakeModelOptions = {},
  ) {
    const words = wordTokenizer();
    this.tokenizer = chat ? { ...words, chat: (messages) => words.encode(chat(messages)) } : words;
    this.#answer = answer;
    this.#evidence = evidence;
    this.contextLength = contextLength;
  }

  async *generate(
    prompts: readonly (readonly number[])[],
    options: GenerationOptions,
  ): AsyncIterable<Continuation> {
    for (const [index, prompt] of prompts.entries()) {
      const answer = this.tokenizer.encode(this.#answer(this.tokenizer.decode(prompt)));
      const tokens: number[] = [];
      for (const token of answer.slice(0, options.maxNewTokens)) {
        tokens.push(token);
        if (options.onToken?.(index, token) === false) break;
      }
      yield await Promise.resolve({ index, tokens, logprob: 0, drawn: tokens.length });
    }
  }

  async *tokenLogits(
    sequences: readonly (readonly number[])[],
    tokens: readonly number[],
    { adapter }: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<readonly number[]> {
    for (const sequence of sequences) {
      const score = weightOn(sequence, adapter) * this.#evidence(this.tokenizer.decode(sequence));
      yield await Promise.resolve(tokens.map((_, index) => index === tokens.length - 1 ? score : 0));
    }
  }

  async *scoreContinuations(sequences: readonly ContinuedSequence[]): AsyncIterable<ContinuationScore> {
    for (const { prefix, tokens } of sequences) {
      const odds = tokens.map((_, index) =>
        this.#evidence(this.tokenizer.decode([...prefix, ...tokens.slice(0, index + 1)]))
      );
      // As if there were one other token.
      const logprobs = odds.map((evidence) => -softplus(-evidence));
      const entropies = odds.map((evidence) => softplus(-evidence) + evidence / (1 + Math.exp(evidence)));
      yield await Promise.resolve({ logprobs, entropies });
    }
  }

  async *hiddenStates(
    spans: readonly TokenSpan[],
    { layers }: HiddenStateOptions,
  ): AsyncIterable<Float32Array<ArrayBuffer>> {
    for (const { tokens, end } of spans) {
      const evidence = this.#evidence(this.tokenizer.decode(tokens.slice(0, end)));
      yield await Promise.resolve(Float32Array.from(layers.flatMap((layer) => {
        const scale = 1 + (layer < 0 ? this.blocks + 1 + layer : layer);
        return [scale * evidence, scale, 0, 0];
      })));
    }
  }

  createAdapter(options: LoraOptions): Promise<Adapter> {
    return Promise.resolve(new FakeAdapter(options, 0));
  }

  async loadAdapter(folder: string): Promise<Adapter> {
    const { options, weight, info } = await readJson(`${folder}/fake_adapter.json`) as FakeAdapter;
    return new FakeAdapter(options, weight, info);
  }

  async saveAdapter(adapter: Adapter, folder: string, asked?: AdapterQuery): Promise<void> {
    const info = asked && { ...asked, temperature: false };
    await writeJsonAtomic(`${folder}/fake_adapter.json`, { ...adapter as FakeAdapter, info });
  }

  createTrainer(
    adapter: Adapter,
    _options: OptimizerOptions,
    _seed: number,
    { classifier }: TrainerParts = {},
  ): Trainer {
    const read = (example: TrainingExample, branch: number) =>
      this.#evidence(this.tokenizer.decode([...example.prefix, ...example.branches[branch]]));
    return new FakeTrainer(adapter as FakeAdapter, read, classifier as FakeClassifier | undefined);
  }

  createClassifier(shape: ClassifierShape): Promise<ClassifierHead> {
    return Promise.resolve(new FakeClassifier(shape, Array<number>(shape.inputs).fill(0)));
  }

  async loadClassifier(folder: string): Promise<ClassifierHead> {
    const { shape, weights } = await readJson(`${folder}/fake_classifier.json`) as FakeClassifier;
    return new FakeClassifier(shape, weights);
  }

  createClassifierTrainer(classifier: ClassifierHead): ClassifierTrainer {
    return new FakeClassifierTrainer(classifier as FakeClassifier);
  }
}

/** A linear classifier, whatever its shape says. */
class FakeClassifier implements ClassifierHead {
  readonly shape: ClassifierShape;
  readonly weights: number[];

  constructor(shape: ClassifierShape, weights: number[]) {
    this.shape = shape;
    this.weights = weights;
  }

  logits(features: readonly Float32Array<ArrayBuffer>[]): Promise<readonly (readonly [number, number])[]> {
    return Promise.resolve(features.map((feature) => [0, this.margin(feature)] as const));
  }

  margin(feature: Float32Array<ArrayBuffer>): number {
    if (feature.length !== this.shape.inputs) throw new TypeError("A feature is of another width");
    return this.weights.reduce((sum, weight, index) => sum + weight * feature[index], 0);
  }

  async save(folder: string): Promise<void> {
    await writeJsonAtomic(`${folder}/fake_classifier.json`, this);
  }

  free(): void {}
}

/** Logistic regression by plain gradient descent. */
class FakeClassifierTrainer implements ClassifierTrainer {
  readonly #classifier: FakeClassifier;

  constructor(classifier: FakeClassifier) {
    this.#classifier = classifier;
  }

  train(batches: readonly FeatureBatch[]): Promise<readonly StepResult[]> {
    return Promise.resolve(batches.map((batch) => this.#step(batch)));
  }

  free(): void {}

  #step({ features, labels, learningRate }: FeatureBatch): StepResult {
    const gradient = this.#classifier.weights.map(() => 0);
    let loss = 0;
    features.forEach((feature, row) => {
      const p = 1 / (1 + Math.exp(-this.#classifier.margin(feature)));
      loss -= Math.log(labels[row] === 1 ? p : 1 - p) / features.length;
      gradient.forEach((_, index) => gradient[index] += (p - labels[row]) * feature[index] / features.length);
    });
    gradient.forEach((slope, index) => this.#classifier.weights[index] -= learningRate * slope);
    return { choice: loss, divergence: 0, gradientNorm: Math.hypot(...gradient) };
  }
}

class FakeAdapter implements Adapter {
  readonly options: LoraOptions;
  readonly parameters = 1;
  readonly info?: AdapterInfo;
  weight: number;

  constructor(options: LoraOptions, weight: number, info?: AdapterInfo) {
    this.options = options;
    this.weight = weight;
    this.info = info;
  }

  free(): void {}
}

/** Logistic regression on the evidence, by plain gradient descent. */
class FakeTrainer implements Trainer {
  readonly #adapter: FakeAdapter;
  readonly #evidence: (example: TrainingExample, branch: number) => number;
  readonly #classifier?: FakeClassifier;
  #step = 0;

  constructor(
    adapter: FakeAdapter,
    evidence: (example: TrainingExample, branch: number) => number,
    classifier?: FakeClassifier,
  ) {
    this.#adapter = adapter;
    this.#evidence = evidence;
    this.#classifier = classifier;
  }

  get step(): number {
    return this.#step;
  }

  train(microBatches: readonly (readonly TrainingExample[])[], learningRate: number): Promise<StepResult> {
    const { loss, slope } = this.#run(microBatches.flat());
    this.#adapter.weight -= learningRate * slope;
    if (this.#classifier) this.#classifier.weights[0] -= learningRate * slope;
    this.#step++;
    return Promise.resolve({ choice: loss, divergence: 0, gradientNorm: Math.abs(slope) });
  }

  evaluate(examples: readonly TrainingExample[]): Promise<StepResult> {
    return Promise.resolve({ choice: this.#run(examples).loss, divergence: 0, gradientNorm: 0 });
  }

  async save(folder: string): Promise<void> {
    await writeJsonAtomic(`${folder}/fake_trainer.json`, { step: this.#step });
  }

  async load(folder: string): Promise<void> {
    this.#step = (await readJson(`${folder}/fake_trainer.json`) as { step: number }).step;
  }

  free(): void {}

  #run(examples: readonly TrainingExample[]): { loss: number; slope: number } {
    let loss = 0, slope = 0;
    for (const example of examples) {
      for (const term of example.losses) {
        if (term.kind === "divergence") continue;
        const evidence = this.#evidence(example, term.branch);
        const weight = term.kind === "class" ? this.#classifier!.weights[0] : this.#adapter.weight;
        const p = 1 / (1 + Math.exp(-weight * evidence));
        loss -= Math.log(term.label === 1 ? p : 1 - p) / examples.length;
        slope += (p - term.label) * evidence / examples.length;
      }
    }
    return { loss, slope };
  }
}

/** log(1 + e^x), without overflow on either side. */
function softplus(x: number): number {
  return Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** The adapter's weight, if it acts on a sequence. */
function weightOn(sequence: readonly number[], adapter: Adapter | undefined): number {
  if (!(adapter instanceof FakeAdapter)) return 0;
  const { invocationTokens } = adapter.options;
  const acts = !invocationTokens || `,${sequence},`.includes(`,${invocationTokens},`);
  return acts ? adapter.weight : 0;
}

/** Every word, with the blanks before it, is a token; ids are given as words are first seen. */
function wordTokenizer(): Tokenizer {
  const words: string[] = [], ids = new Map<string, number>();
  const encode = (text: string) =>
    (text.match(/\s*\S+/g) ?? []).map((word) => {
      if (!ids.has(word)) ids.set(word, words.push(word) - 1);
      return ids.get(word)!;
    });
  return {
    encode,
    decode: (tokens) => tokens.map((id) => words[id]).join(""),
    answerToken: (text) => encode(text).at(-1)!,
    vocabulary: 2 ** 20,
    stopTokens: [],
  };
}
