/** How many tokens a confidence costs. */
import { type Adapter, answeredText, type Generation, type LanguageModel } from "../core/mod.ts";
import { activationStart } from "../model/activation.ts";

/** Tokens that a method had the model process for its confidences, over all questions. */
export interface TokenCount {
  /** Tokens of the sequences that were read. */
  read: number;
  /** Tokens that were written. */
  written: number;
  /**
   * Of those read, how many the model had read or written when it gave the answer, with the same weights: what goes on
   * from the answer has their KV cache at hand.
   */
  kept: number;
}

type Sequence = readonly number[];

/** What each member of a language model reads. A member that is missing here does not compile. */
const COUNTED: { readonly [K in keyof LanguageModel]: LanguageModel[K] extends Reads ? Count<K> : null } = {
  name: null,
  tokenizer: null,
  contextLength: null,
  width: null,
  blocks: null,
  async *generate(model, counter, prompts, options) {
    for (const prompt of prompts) counter.read(prompt);
    for await (const continuation of model.generate(prompts, options)) {
      counter.write(continuation.tokens.length);
      yield continuation;
    }
  },
  tokenLogits(model, counter, sequences, tokens, options) {
    for (const sequence of sequences) counter.read(sequence, frozenCount(sequence, options.adapter));
    return model.tokenLogits(sequences, tokens, options);
  },
  scoreContinuations(model, counter, sequences, options) {
    for (const { prefix, tokens } of sequences) {
      // What is not read is the last token: nothing is wanted behind it.
      const sequence = [...prefix, ...tokens.slice(0, -1)];
      counter.read(sequence, options.adapter ? 0 : sequence.length);
    }
    return model.scoreContinuations(sequences, options);
  },
  hiddenStates(model, counter, spans, options) {
    for (const { tokens, end } of spans) {
      counter.read(tokens.slice(0, end), options.adapter ? 0 : end);
    }
    return model.hiddenStates(spans, options);
  },
  createAdapter: null,
  loadAdapter: null,
  saveAdapter: null,
  createTrainer: null,
  createClassifier: null,
  loadClassifier: null,
  createClassifierTrainer: null,
};

/** How many of a sequence's first tokens an adapter leaves as they are to the frozen model. */
function frozenCount(sequence: Sequence, adapter: Adapter | undefined): number {
  const tokens = adapter && adapter.options.invocationTokens;
  if (adapter && !tokens) return 0;
  return (tokens && activationStart(sequence, tokens)) ?? sequence.length;
}

// deno-lint-ignore no-explicit-any
type Reads = (...args: any[]) => AsyncIterable<unknown>;
type Count<K extends keyof LanguageModel> = LanguageModel[K] extends (...args: infer A) => infer R
  ? (model: LanguageModel, counter: Counter, ...args: A) => R
  : never;

/** A model that counts what it is asked to read and write about some answers. */
export function countingModel(
  model: LanguageModel,
  answers: readonly Generation[],
): { readonly model: LanguageModel; readonly count: TokenCount } {
  const counter = new Counter(answers.map((row) => model.tokenizer.encode(answeredText(row, row.output))));
  const counted = new Proxy(model, {
    get(target, key) {
      const value = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      const count = Object.hasOwn(COUNTED, key) ? COUNTED[key as keyof LanguageModel] : null;
      return count === null
        ? value.bind(target)
        : (...args: unknown[]) => (count as (...all: unknown[]) => unknown)(target, counter, ...args);
    },
  });
  return { model: counted, count: counter.count };
}

/** A token and what may follow it. */
type Trie = Map<number, Trie>;

class Counter {
  readonly count: TokenCount = { read: 0, written: 0, kept: 0 };
  readonly #known: Trie = new Map();

  constructor(known: readonly Sequence[]) {
    for (const sequence of known) {
      let node = this.#known;
      for (const token of sequence) {
        let next = node.get(token);
        if (!next) node.set(token, next = new Map());
        node = next;
      }
    }
  }

  /** @param frozen how many of its first tokens are read with the weights that answered: the others cannot be kept */
  read(sequence: Sequence, frozen = sequence.length): void {
    this.count.read += sequence.length;
    let node: Trie | undefined = this.#known;
    for (const token of sequence.slice(0, frozen)) {
      node = node.get(token);
      if (!node) break;
      this.count.kept++;
    }
  }

  write(tokens: number): void {
    this.count.written += tokens;
  }
}
