/** What a language model is to methods and stages: text to tokens, answers, logits, adapters and their training. */
import type { Rng } from "./rng.ts";

/** How a text is encoded. */
export interface EncodeOptions {
  /** False for a text that has them already, as a rendered chat does; true if absent. */
  readonly specialTokens?: boolean;
}

/** One turn of a chat. */
export interface ChatMessage {
  /** Whose turn it is: mostly `system`, `user` or `assistant`. */
  readonly role: string;
  /** What is said. */
  readonly content: string;
}

/** How a chat is rendered. */
export interface ChatOptions {
  /** Whether the text ends where the model's answer begins; true if absent. */
  readonly addGenerationPrompt?: boolean;
}

/** Text to token ids and back. */
export interface Tokenizer {
  /** Ids of a text, with the tokens that the model wants around it: mostly one that begins a sequence, or none. */
  encode(text: string, options?: EncodeOptions): number[];
  /** Text of ids, special tokens left out; what is cut within a character ends in U+FFFD. */
  decode(ids: readonly number[]): string;
  /** Ids of a chat, as the model was tuned on it; absent if it has no chat template. */
  chat?(messages: readonly ChatMessage[], options?: ChatOptions): number[];
  /** The last id of the encoded text: the seed's way to name an answer token such as "ii". */
  answerToken(text: string): number;
  /** One more than the largest id. */
  readonly vocabulary: number;
  /** Tokens that end an answer. */
  readonly stopTokens: readonly number[];
}

/** How the model's own answers are drawn. */
export interface GenerationOptions {
  /** Where an answer is cut that has met no stop token. */
  readonly maxNewTokens: number;
  /** Answers that are written at once. */
  readonly batchSize: number;
  /** 0 is greedy. */
  readonly temperature: number;
  /** Mass of the most probable tokens that are kept, in (0, 1]. */
  readonly topP: number;
  /** Whole number from 0; matters only where the temperature is above 0. */
  readonly seed: number;
  /** Told of each token of a prompt's continuation as it is written; where it gives false, that one ends there. */
  onToken?(index: number, token: number): boolean;
}

/** What a model wrote after a prompt. */
export interface Continuation {
  /** Index of the prompt. */
  readonly index: number;
  /** Ids written, without the stop token. */
  readonly tokens: readonly number[];
  /** Sum of the log-probabilities, at temperature 1, of the tokens that were drawn, in nats. */
  readonly logprob: number;
  /** How many were drawn: those of `tokens`, and the stop token if one ended them. */
  readonly drawn: number;
}

/** Tokens, and others that follow them: how likely were these? */
export interface ContinuedSequence {
  /** Token ids that are read first; at least one. */
  readonly prefix: readonly number[];
  /** Token ids behind them; perhaps none. */
  readonly tokens: readonly number[];
}

/** How sure a model was of tokens that follow others, one value for each. */
export interface ContinuationScore {
  /** Log-probability of the token, at temperature 1, in nats. */
  readonly logprobs: readonly number[];
  /** Entropy of the distribution over the whole vocabulary that the token was one of, in nats. */
  readonly entropies: readonly number[];
}

/** A LoRA adapter as PEFT describes it; what is absent is PEFT's default. */
export interface LoraOptions {
  /** Inner width of the two factors; whole, from 1. */
  readonly rank: number;
  /** The product of the factors is scaled by alpha / rank. */
  readonly alpha: number;
  /** Share of inputs dropped in front of the first factor while training, in [0, 1). */
  readonly dropout: number;
  /**
   * The linear layers that are adapted: ends of their names, as in `q_proj`; or a regular expression of Python's that
   * matches whole names, as in `.*\.[qv]_proj`; or `all-linear`.
   */
  readonly targetModules: readonly string[] | string;
  /** Layers that are left out, named in the same ways. */
  readonly excludeModules?: readonly string[] | string;
  /** Numbers of the blocks that are adapted; goes with a list of target modules. */
  readonly layersToTransform?: readonly number[];
  /** Name of the list that these numbers count in, as in `layers`. */
  readonly layersPattern?: readonly string[];
  /** Scales by alpha / √rank instead. */
  readonly useRslora?: boolean;
  /** A bias behind the second factor. Such an adapter is read and used; training it is not implemented. */
  readonly loraBias?: boolean;
  /** Other ranks, by a regular expression for the end of a layer's name; the first that matches counts. */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** Other alphas, in the same way. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /**
   * Token ids from whose last occurrence on the adapter acts; on tokens before it, and where they do not occur, the
   * model is the frozen one. PEFT calls this activated LoRA. Absent, it acts on all tokens.
   */
  readonly invocationTokens?: readonly number[];
}

/** How an adapter was taught to be asked whether an answer is right. */
export interface AdapterQuery {
  /** The words of the question, as in `roman_choice`. */
  readonly queryFormat?: string;
  /** Whether it is a turn of a chat, behind the model's answer; else it follows the answer as plain text. */
  readonly queryChat?: boolean;
}

/** What an adapter's folder says besides. */
export interface AdapterInfo extends AdapterQuery {
  /** The model it was trained on, as its author named it; perhaps not the one it is used with. */
  readonly baseModel?: string;
  /** Whether a fitted temperature belongs to it: its folder holds one, or its settings say that one is used. */
  readonly temperature: boolean;
}

/** Trainable weights over a frozen model. */
export interface Adapter {
  /** What it was created with, or what its folder says. */
  readonly options: LoraOptions;
  /** Number of trainable values. */
  readonly parameters: number;
  /** What its folder says besides; absent if it is fresh. */
  readonly info?: AdapterInfo;
  /** Gives its memory back. */
  free(): void;
}

/**
 * How far two distributions over tokens are apart: Jensen–Shannon, KL(frozen‖tuned), KL(tuned‖frozen), where a trainer
 * may have another reference than the frozen model.
 */
export type DivergenceType = "jsd" | "forward_kl" | "reverse_kl";

/** A term of the loss of one example. Weights multiply; each is then averaged over the batch. */
export type LossTerm =
  /** Cross-entropy over a handful of tokens at the end of a branch, in nats. */
  | {
    readonly kind: "choice";
    readonly branch: number;
    readonly tokens: readonly number[];
    /** Index into `tokens`. */
    readonly label: number;
    readonly smoothing: number;
    readonly weight: number;
  }
  /** Divergence from the frozen model, or the trainer's reference, where it predicts the last `count` tokens of a branch, summed, in nats. */
  | {
    readonly kind: "divergence";
    readonly branch: number;
    readonly count: number;
    readonly type: DivergenceType;
    readonly weight: number;
  }
  /** Cross-entropy of a classifier on the mean hidden state of some tokens, in nats; see {@linkcode TokenSpan}. */
  | {
    readonly kind: "class";
    readonly branch: number;
    /** Tokens `first` to before `end` of the prefix with the branch behind it. */
    readonly first: number;
    readonly end: number;
    /** 1 correct, 0 wrong. */
    readonly label: 0 | 1;
    readonly weight: number;
  };

/** Tokens to learn from: branches that continue one prefix, and what is to become small. */
export interface TrainingExample {
  /** Number that tells examples apart in dropout; the same example has the same masks in the same step. */
  readonly id: number;
  /** Token ids that all branches begin with, read once; may be empty. */
  readonly prefix: readonly number[];
  /** Token ids that continue the prefix, each as if it stood alone; a branch may be empty. */
  readonly branches: readonly (readonly number[])[];
  /** What is added up for this example. */
  readonly losses: readonly LossTerm[];
}

/** Losses of one step, averaged over its examples, in nats; and the gradient's norm before clipping. */
export interface StepResult {
  /** Cross-entropy of the choice and class terms, before their weight. */
  readonly choice: number;
  /** Divergence terms, before their weight; 0 if there are none. */
  readonly divergence: number;
  /** Euclidean norm over all trainable values; 0 where no gradient was asked for. */
  readonly gradientNorm: number;
}

/** AdamW's constants. */
export interface OptimizerOptions {
  /** Decay of the mean of the gradient, in [0, 1). */
  readonly beta1: number;
  /** Decay of the mean of its square, in [0, 1). */
  readonly beta2: number;
  /** Added to the root of the mean square, so that nothing is divided by 0. */
  readonly epsilon: number;
  /** Share of a value that a step of learning rate 1 takes away, apart from the gradient. */
  readonly weightDecay: number;
  /** Gradients are scaled down to this norm; 0 leaves them. */
  readonly maxGradientNorm: number;
}

/** Tokens, and those among them whose hidden state is wanted: that of one, or the mean over several. */
export interface TokenSpan {
  /** Token ids from the beginning of the sequence. What stands behind the span cannot matter, and is not read. */
  readonly tokens: readonly number[];
  /** Index of the span's first token. */
  readonly first: number;
  /** One more than the index of its last. */
  readonly end: number;
}

/** Which hidden states are wanted. */
export interface HiddenStateOptions {
  /**
   * Numbered as `hidden_states` of transformers is: 0 the embedding, n what block n gives; the last, after the final
   * norm, is also −1, the one before it −2.
   */
  readonly layers: readonly number[];
  /** Sequences at once. */
  readonly batchSize: number;
  /** Acts while the sequences are read; the frozen model reads them without. */
  readonly adapter?: Adapter;
}

/** Widths of a classifier: linear layers with ReLU between them, and two logits at the end. */
export interface ClassifierShape {
  /** Values of a feature; a multiple of 4. */
  readonly inputs: number;
  /** Outputs of the layers but the last, each a multiple of 4; none for a linear classifier. */
  readonly hidden: readonly number[];
}

/** A classifier on features such as hidden states: it gives the logits of "wrong" and "correct". */
export interface ClassifierHead {
  /** Its widths. */
  readonly shape: ClassifierShape;
  /** Logits of each feature, in order. */
  logits(
    features: readonly Float32Array<ArrayBuffer>[],
  ): Promise<readonly (readonly [wrong: number, correct: number])[]>;
  /** Writes `classifier_model.safetensors`: the state dictionary of the `nn.Sequential` of the same layers. */
  save(folder: string): Promise<void>;
  /** Gives its memory back. */
  free(): void;
}

/** One optimizer step of a classifier on features that are at hand. */
export interface FeatureBatch {
  /** `[inputs]` each. */
  readonly features: readonly Float32Array<ArrayBuffer>[];
  /** 1 correct, 0 wrong, for each feature. */
  readonly labels: readonly (0 | 1)[];
  /** Of this step. */
  readonly learningRate: number;
}

/** Trains a classifier on features, without a language model. */
export interface ClassifierTrainer {
  /** Takes one step on each batch, in order; gives the cross-entropy before each step as `choice`. */
  train(batches: readonly FeatureBatch[]): Promise<readonly StepResult[]>;
  /** Gives the optimizer's memory back; the classifier stays. */
  free(): void;
}

/** What a trainer works with besides its adapter. */
export interface TrainerParts {
  /** What divergences are measured from: the model with this adapter; the frozen model if absent. */
  readonly reference?: Adapter;
  /** The classifier that class terms read; it is trained with the adapter, and clipped by one norm with it. */
  readonly classifier?: ClassifierHead;
}

/** Trains an adapter step by step. */
export interface Trainer {
  /** Steps taken so far. */
  readonly step: number;
  /** One optimizer step over all micro-batches. */
  train(microBatches: readonly (readonly TrainingExample[])[], learningRate: number): Promise<StepResult>;
  /** Losses without a step and without dropout. */
  evaluate(examples: readonly TrainingExample[]): Promise<StepResult>;
  /** Writes the optimizer's state, for {@linkcode Trainer.load}. */
  save(folder: string): Promise<void>;
  /** Takes up the state another trainer saved. */
  load(folder: string): Promise<void>;
  /** Gives the optimizer's memory back; the adapter stays. */
  free(): void;
}

/** A language model, as methods and stages see it. */
export interface LanguageModel {
  /** For messages and manifests: what the user called it, or its folder. */
  readonly name: string;
  /**
   * Tells its weights from those of another model, in whatever files and precision they are: what is trained on it keeps
   * that, so as not to be used with another one. Nothing is checked if it is absent.
   */
  readonly fingerprint?: string;
  /** The checkpoint's own; ids of another one mean other texts. */
  readonly tokenizer: Tokenizer;
  /** Longest sequence, in tokens. */
  readonly contextLength: number;
  /** Values of a hidden state; a multiple of 4. */
  readonly width: number;
  /** Blocks; there is one more layer of hidden states than blocks. */
  readonly blocks: number;
  /** Continuations of prompts, as they finish. */
  generate(prompts: readonly (readonly number[])[], options: GenerationOptions): AsyncIterable<Continuation>;
  /** Logits of some tokens after each sequence, in order: one row of `tokens.length` each. */
  tokenLogits(
    sequences: readonly (readonly number[])[],
    tokens: readonly number[],
    options: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<readonly number[]>;
  /** How likely the tokens of each sequence are behind its prefix, in order. */
  scoreContinuations(
    sequences: readonly ContinuedSequence[],
    options: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<ContinuationScore>;
  /**
   * Hidden states, in order: for each span those of all layers asked for, `[layers · width]`, one behind the other.
   *
   * @throws {UserError} of kind `usage` for a layer that the model does not have
   */
  hiddenStates(
    spans: readonly TokenSpan[],
    options: HiddenStateOptions,
  ): AsyncIterable<Float32Array<ArrayBuffer>>;
  /** A fresh adapter that changes nothing yet. */
  createAdapter(options: LoraOptions, rng: Rng): Promise<Adapter>;
  /** An adapter from a folder in PEFT's format. */
  loadAdapter(folder: string): Promise<Adapter>;
  /** Writes `adapter_config.json` and `adapter_model.safetensors`, as PEFT reads them, and how it is to be asked. */
  saveAdapter(adapter: Adapter, folder: string, asked?: AdapterQuery): Promise<void>;
  /** A trainer for an adapter; `seed` sets its dropout. */
  createTrainer(
    adapter: Adapter,
    options: OptimizerOptions,
    seed: number,
    parts?: TrainerParts,
  ): Trainer;
  /** A fresh classifier: weights Xavier-normal, biases as `nn.Linear` draws them. */
  createClassifier(shape: ClassifierShape, rng: Rng): Promise<ClassifierHead>;
  /** The classifier in a folder: `classifier_model.safetensors`, or the research code's `classifier_model.bin`. */
  loadClassifier(folder: string): Promise<ClassifierHead>;
  /** A trainer for a classifier alone. */
  createClassifierTrainer(classifier: ClassifierHead, options: OptimizerOptions): ClassifierTrainer;
}
