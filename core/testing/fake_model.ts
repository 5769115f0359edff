import { readJson, writeJsonAtomic } from "../files.ts";
import type {
  Adapter,
  Continuation,
  GenerationOptions,
  LanguageModel,
  LoraOptions,
  OptimizerOptions,
  StepResult,
  Tokenizer,
  Trainer,
  TrainingExample,
} from "../types.ts";

/** How a {@linkcode FakeModel} behaves. */
export interface FakeModelOptions {
  /** What it writes after a prompt; nothing by default. */
  readonly answer?: (prompt: string) => string;
  /** How sure it could be of what stands before a question about an answer: what training makes it say. */
  readonly evidence?: (text: string) => number;
  /** Longest sequence, in tokens. */
  readonly contextLength?: number;
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
  /** Splits at blanks, and learns words as it meets them. */
  readonly tokenizer: Tokenizer = wordTokenizer();
  readonly #answer: (prompt: string) => string;
  readonly #evidence: (text: string) => number;

  /** Writes nothing and knows nothing unless told otherwise. */
  constructor({ answer = () => "", evidence = () => 0, contextLength = 4096 }: FakeModelOptions = {}) {
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
      yield await Promise.resolve({ index, tokens, logprob: 0 });
    }
  }

  async *tokenLogits(
    sequences: readonly (readonly number[])[],
    tokens: readonly number[],
    { adapter }: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<readonly number[]> {
    for (const sequence of sequences) {
      const score = weightOf(adapter) * this.#evidence(this.tokenizer.decode(sequence));
      yield await Promise.resolve(tokens.map((_, index) => index === tokens.length - 1 ? score : 0));
    }
  }

  createAdapter(options: LoraOptions): Promise<Adapter> {
    return Promise.resolve(new FakeAdapter(options, 0));
  }

  async loadAdapter(folder: string): Promise<Adapter> {
    const { options, weight } = await readJson(`${folder}/fake_adapter.json`) as FakeAdapter;
    return new FakeAdapter(options, weight);
  }

  async saveAdapter(adapter: Adapter, folder: string): Promise<void> {
    await writeJsonAtomic(`${folder}/fake_adapter.json`, adapter);
  }

  createTrainer(adapter: Adapter, _options: OptimizerOptions, _seed: number): Trainer {
    const read = (example: TrainingExample, branch: number) =>
      this.#evidence(this.tokenizer.decode([...example.prefix, ...example.branches[branch]]));
    return new FakeTrainer(adapter as FakeAdapter, read);
  }
}

class FakeAdapter implements Adapter {
  readonly options: LoraOptions;
  readonly parameters = 1;
  weight: number;

  constructor(options: LoraOptions, weight: number) {
    this.options = options;
    this.weight = weight;
  }

  free(): void {}
}

/** Logistic regression on the evidence, by plain gradient descent. */
class FakeTrainer implements Trainer {
  readonly #adapter: FakeAdapter;
  readonly #evidence: (example: TrainingExample, branch: number) => number;
  #step = 0;

  constructor(adapter: FakeAdapter, evidence: (example: TrainingExample, branch: number) => number) {
    this.#adapter = adapter;
    this.#evidence = evidence;
  }

  get step(): number {
    return this.#step;
  }

  train(microBatches: readonly (readonly TrainingExample[])[], learningRate: number): Promise<StepResult> {
    const { loss, slope } = this.#run(microBatches.flat());
    this.#adapter.weight -= learningRate * slope;
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
        if (term.kind !== "choice") continue;
        const evidence = this.#evidence(example, term.branch);
        const p = 1 / (1 + Math.exp(-this.#adapter.weight * evidence));
        loss -= Math.log(term.label === 1 ? p : 1 - p) / examples.length;
        slope += (p - term.label) * evidence / examples.length;
      }
    }
    return { loss, slope };
  }
}

function weightOf(adapter: Adapter | undefined): number {
  return adapter instanceof FakeAdapter ? adapter.weight : 0;
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
