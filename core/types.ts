/**
 * The contracts of the plugin kinds, and what a method may ask of a language model.
 *
 * A plugin is one typed constant: a plain object with a kind, a name and functions. Nothing happens when it is
 * imported. Its options are the keys of `defaults`; an unknown key is refused.
 */
import type { Generation, Label, Labeled, Prompt, Question, Split, StoredRow } from "./records.ts";
import type { Rng } from "./rng.ts";
import type { TransformerDescription } from "./transformer.ts";

export type { ExpertDescription, LinearName, RopeScaling, TransformerDescription } from "./transformer.ts";

/** What kinds of plugin there are. */
export type PluginKind = "dataset" | "prompt-style" | "labeler" | "method" | "metric" | "model";

/** Options of a plugin: a flat record of JSON values. */
export type Options = object;

/** What every plugin has. */
export interface PluginBase<O extends Options = Options> {
  /** The contract it fulfils; names are unique within one kind. */
  readonly kind: PluginKind;
  /** As users type it; a third party's name carries a namespace, as in `acme/brier`. */
  readonly name: string;
  /** Raised when a change moves a result; recorded in `run.json`. */
  readonly version: number;
  /** One line for lists and help. */
  readonly description: string;
  /** The options and their values when not set. */
  readonly defaults: O;
}

/** Any plugin. */
export type Plugin = Dataset | PromptStyle | Labeler | Method | Metric | ModelFamily;

/** What a dataset is asked for. */
export interface DatasetRequest<O extends Options = Options> {
  /** What stands behind the colon in `name:argument`; empty if nothing does. */
  readonly argument: string;
  /** The dataset's own options, defaults filled in. */
  readonly options: O;
  /** Where datasets lie on this machine: `--data-dir`, or nothing. */
  readonly dataDir?: string;
  /** Name of the prompt style the rows are for. */
  readonly promptStyle?: string;
}

/** A source of questions, or of rows that an earlier stage wrote. */
export interface Dataset<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `read` or `expand`. */
  readonly kind: "dataset";
  /** What it may be used for. A benchmark that must not be trained on is `eval` only. */
  readonly tags: readonly ("train" | "eval")[];
  /** What `read` can be asked for; another split is refused before it is called. */
  readonly splits: readonly Split[];
  /** What stands behind the colon, for help; absent if nothing may. */
  readonly argument?: string;
  /** Names of the datasets this one stands for; a collection has this instead of `read`. */
  expand?(request: DatasetRequest<O>): Promise<readonly string[]>;
  /** The rows of a split, in a fixed order. */
  read?(split: Split, request: DatasetRequest<O>): AsyncIterable<Question | StoredRow>;
  /** The questions from which worked examples are drawn. Never those of the split that is asked about. */
  shotPool?(request: DatasetRequest<O>): Promise<readonly Question[]>;
  /** Whether a question may stand among its own worked examples, as in the research code. */
  readonly ownShots?: boolean;
  /** Number of worked examples when the user names none; 0 if absent. */
  readonly evalKshot?: number;
  /** What the rows were read from, for `run.json`: a revision, a hash, a path. */
  revision?(request: DatasetRequest<O>): Promise<string>;
}

/** Turns a question into the text a model continues. */
export interface PromptStyle<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `render` and `cleanUp`. */
  readonly kind: "prompt-style";
  /** Tokens an answer may take when the user names no limit. */
  readonly maxNewTokens: number;
  /** Renders a question with its worked examples, perhaps none. */
  render(question: Question, shots: readonly Question[], options: O): Prompt;
  /** The answer in what the model wrote. */
  cleanUp(output: string, options: O): string;
}

/** Decides whether an answer is right. */
export interface Labeler<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `label`. */
  readonly kind: "labeler";
  /** Labels that may be under way at once; 1 if absent. */
  readonly concurrency?: number;
  /** 1 correct, 0 wrong, null undecided. */
  label(answer: { readonly question: string; readonly target: string; readonly answer: string }, options: O):
    | Label
    | Promise<Label>;
}

/** Labelled answers that were decided, with a confidence: what a metric measures. */
export interface Scored {
  /** 1 correct, 0 wrong; undecided answers never reach a metric. */
  readonly label: 0 | 1;
  /** Probability that the answer is correct, in [0, 1]. */
  readonly pCorrect: number;
}

/** One number about a set of confidences. */
export interface Metric<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `compute`. */
  readonly kind: "metric";
  /** Which end of the scale is good; reports say so beside the value. */
  readonly better: "higher" | "lower";
  /** Throws where it is undefined; never gives NaN. The pairs are decided and at least one. */
  compute(pairs: readonly Scored[], options: O): number;
}

/** What a method needs besides its rows. */
export interface MethodContext<O extends Options = Options> {
  /** The method's own options, defaults filled in. */
  readonly options: O;
  /** The only source of randomness; split it by name for each purpose. */
  readonly rng: Rng;
  /** Rows of one batch. */
  readonly batchSize: number;
  /** Told after each step or row, so that the user sees rate and time left. */
  readonly progress: ProgressSink;
}

/** Rows to learn from. */
export interface TrainingRows {
  /** Rows whose labels may move weights. */
  readonly train: readonly Labeled[];
  /** Rows for looking on and for what is fitted after training; perhaps none. */
  readonly validation: readonly Labeled[];
}

/** What training needs besides. */
export interface TrainingContext<O extends Options = Options> extends MethodContext<O> {
  /** Optimizer steps in all, those of an earlier, interrupted training included. */
  readonly maxSteps: number;
  /** Called with the numbers of every step. */
  log(step: number, values: Readonly<Record<string, number>>): void;
  /** Where checkpoints go; training continues from the newest complete one it finds there. */
  readonly folder: string;
  /** Aborted when the user wants to stop: finish the step, save a checkpoint, then throw the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Learns and gives a confidence in an answer. */
export interface Method<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `train` and `predict`. */
  readonly kind: "method";
  /** Trains, and resolves to the folder of the last checkpoint. Reads only training and validation rows. */
  train(model: LanguageModel, rows: TrainingRows, context: TrainingContext<O>): Promise<string>;
  /**
   * Scores of "wrong" and "correct" for each row, in order.
   *
   * @param checkpoint a folder that `train` wrote; without one, the untuned model is asked
   */
  predict(
    model: LanguageModel,
    rows: readonly Generation[],
    context: MethodContext<O> & { readonly checkpoint?: string },
  ): AsyncIterable<readonly [number, number]>;
}

/** Where progress goes; the tasks draw it. */
export interface ProgressSink {
  /** `done` of `total` units are done; `note` is a short text such as the loss. */
  update(done: number, total: number, note?: string): void;
}

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
  /** Told of each token as it is written, with the index of its prompt; what it throws ends all answers. */
  readonly onToken?: (index: number, token: number) => void;
}

/** What a model wrote after a prompt. */
export interface Continuation {
  /** Index of the prompt. */
  readonly index: number;
  /** Ids written, without the stop token. */
  readonly tokens: readonly number[];
  /** Sum of the log-probabilities of the tokens, in nats, the stop token included. */
  readonly logprob: number;
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
}

/** What an adapter's folder says besides. */
export interface AdapterInfo {
  /** The model it was trained on, as its author named it; perhaps not the one it is used with. */
  readonly baseModel?: string;
  /** How it was taught to be asked whether an answer is right, as in `roman_choice`, if its folder says so. */
  readonly queryFormat?: string;
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

/** How far two distributions over tokens are apart: Jensen–Shannon, KL(frozen‖tuned), KL(tuned‖frozen). */
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
  /** Divergence from the frozen model where it predicts the last `count` tokens of a branch, summed, in nats. */
  | {
    readonly kind: "divergence";
    readonly branch: number;
    readonly count: number;
    readonly type: DivergenceType;
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
  /** Cross-entropy of the choice terms, before their weight. */
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
  /** The checkpoint's own; ids of another one mean other texts. */
  readonly tokenizer: Tokenizer;
  /** Longest sequence, in tokens. */
  readonly contextLength: number;
  /** Continuations of prompts, as they finish. */
  generate(prompts: readonly (readonly number[])[], options: GenerationOptions): AsyncIterable<Continuation>;
  /** Logits of some tokens after each sequence, in order: one row of `tokens.length` each. */
  tokenLogits(
    sequences: readonly (readonly number[])[],
    tokens: readonly number[],
    options: { readonly batchSize: number; readonly adapter?: Adapter },
  ): AsyncIterable<readonly number[]>;
  /** A fresh adapter that changes nothing yet. */
  createAdapter(options: LoraOptions, rng: Rng): Promise<Adapter>;
  /** An adapter from a folder in PEFT's format. */
  loadAdapter(folder: string): Promise<Adapter>;
  /** Writes `adapter_config.json` and `adapter_model.safetensors`, as PEFT reads them. */
  saveAdapter(adapter: Adapter, folder: string): Promise<void>;
  /** A trainer for an adapter; `seed` sets its dropout. */
  createTrainer(adapter: Adapter, options: OptimizerOptions, seed: number): Trainer;
}

/** Maps a family's `config.json` to what the engine runs. */
export interface ModelFamily<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `describe`. */
  readonly kind: "model";
  /** Values of `model_type` in `config.json` that it understands. */
  readonly modelTypes: readonly string[];
  /** Short names users may type, and what each stands for: a folder (a URL), or a name such as `hf:owner/name`. */
  readonly aliases: Readonly<Record<string, URL | string>>;
  /**
   * The transformer that a parsed `config.json` stands for.
   *
   * @throws {UserError} for a field whose value is not implemented, naming it
   */
  describe(config: Readonly<Record<string, unknown>>): TransformerDescription;
}
