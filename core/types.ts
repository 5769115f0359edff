/**
 * The contracts of the plugin kinds.
 *
 * A plugin is one typed constant: a plain object with a kind, a name and functions. Nothing happens when it is
 * imported. Its options are the keys of `defaults`; an unknown key is refused.
 */
import type { UserError } from "./errors.ts";
import type { Generation, Label, Labeled, Prompt, Question, Split, StoredRow } from "./records.ts";
import type { GenerationOptions, LanguageModel } from "./language_model.ts";
import type { Metric } from "./metric.ts";
import type { Rng } from "./rng.ts";
import type { Json } from "./json.ts";
import type { TransformerDescription } from "./transformer.ts";

export type {
  Adapter,
  AdapterInfo,
  AdapterQuery,
  ChatMessage,
  ChatOptions,
  ClassifierHead,
  ClassifierShape,
  ClassifierTrainer,
  Continuation,
  ContinuationScore,
  ContinuedSequence,
  DivergenceType,
  EncodeOptions,
  FeatureBatch,
  GenerationOptions,
  HiddenStateOptions,
  LanguageModel,
  LoraOptions,
  LossTerm,
  OptimizerOptions,
  StepResult,
  Tokenizer,
  TokenSpan,
  Trainer,
  TrainerParts,
  TrainingExample,
} from "./language_model.ts";
export type { Metric, Scored, Tally } from "./metric.ts";
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
  /** What an option does, in a few words without its default, for `--help`. */
  readonly help?: Readonly<Partial<Record<keyof O & string, string>>>;
  /** Options that decide how the work is done and not what comes out, as a limit on its cost: a run goes on with others. */
  readonly incidental?: readonly string[];
  /** Refuses options with which it could not work, so that this is said before a model is loaded. */
  check?(options: O): void;
}

/** Any plugin. */
export type Plugin = Dataset | PromptStyle | Labeler | Method | Metric | ModelFamily | RemoteModel;

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
  /** Told what the user should know though nothing is wrong, as a sentence. */
  warn?(text: string): void;
  /** Told of a row that cannot be read, and the others are read nevertheless; without it, reading ends there. */
  onUnreadable?(error: UserError): void;
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
  /** Where to read about it. */
  readonly home?: string;
  /** As its home states it. */
  readonly licence?: string;
  /** Rows of each split as published, before any are left out. */
  readonly rows?: Readonly<Partial<Record<Split, number>>>;
  /** In what it differs from what others make of the same data, in a few words each. */
  readonly mends?: readonly string[];
  /** Which of `splits` are there, where that depends on what is asked for; all if absent. */
  available?(request: DatasetRequest<O>): Promise<readonly Split[]>;
  /** Names of the datasets this one stands for; a collection has this instead of `read`. */
  expand?(request: DatasetRequest<O>): Promise<readonly string[]>;
  /** The rows of a split, in a fixed order. */
  read?(split: Split, request: DatasetRequest<O>): AsyncIterable<Question | StoredRow>;
  /**
   * The questions from which worked examples are drawn. Never those of the split that is asked about.
   *
   * @param home of a mixture's question: the dataset whose examples are wanted
   */
  shotPool?(request: DatasetRequest<O>, home?: string): Promise<readonly Question[]>;
  /** Whether a question may stand among its own worked examples, as in the research code. */
  readonly ownShots?: boolean;
  /**
   * Whether each question comes with an answer that nobody wrote and its label: the right one, or as often one of the
   * wrong choices.
   */
  readonly synthetic?: boolean;
  /** Number of worked examples when the user names none; 0 if absent. */
  readonly evalKshot?: number;
  /** Tokens an answer may take when the user names no limit; the prompt style's own if absent. */
  readonly maxNewTokens?: number;
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
  /** The answer in what the model wrote; the prompt says what it was asked, and of which form the right answer is. */
  cleanUp(output: string, options: O, prompt?: Prompt): string;
  /** Whether nothing the model could still write would change the answer, so that it may stop. Never, if absent. */
  isComplete?(output: string, options: O, prompt?: Prompt): boolean;
}

/**
 * Decides whether an answer is right: by `label` alone where that needs nothing but the texts, or by `open` where
 * something has to be held meanwhile, as a connection or a model.
 */
export interface Labeler<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `label` or `open`. */
  readonly kind: "labeler";
  /** What stands behind the colon of `name:argument`, for help; absent if nothing may. */
  readonly argument?: string;
  /** Names of the labelers that one is made of, by what stands behind the colon; their options are its options too. */
  members?(argument: string): readonly string[];
  /** Calls of `label` that may be under way at once; 1 if absent. */
  readonly concurrency?: number;
  /** 1 correct, 0 wrong, null undecided. */
  label?(answer: LabelRequest, options: O): Label | Promise<Label>;
  /** Begins to label; whoever opens it closes what it gets. */
  open?(options: O, context: LabelerContext): Promise<LabelSession>;
  /** What else decides the labels, for `run.json`: the address of an endpoint, a hash of a model. */
  revision?(options: O, context: LabelerContext): Promise<Json>;
}

/** What a labeler that is opened may use. */
export interface LabelerContext {
  /** What stands behind the colon in `name:argument`; empty if nothing does. */
  readonly argument: string;
  /** Folder for what is dear to ask twice, such as replies; shared by all runs, perhaps not there yet. */
  readonly cacheDir: string;
  /** Told what the user should know though nothing is wrong, as a sentence. */
  warn(text: string): void;
  /** A model by alias, Hub name or folder, loaded on first use; it is not the labeler's to close. */
  model(name: string): Promise<LanguageModel>;
  /** What `run.json` says of that model. */
  describeModel(name: string): Promise<Json>;
  /** Opens another labeler by name, with those of the options given that it has, for one that is made of several. */
  labeler(name: string): Promise<LabelSession>;
  /** What `run.json` says of that labeler. */
  describeLabeler(name: string): Promise<Json>;
}

/** A label, and what it was made of where several labelers have voted. */
export interface Verdict {
  /** 1 correct, 0 wrong, null undecided. */
  readonly label: Label;
  /** What each labeler said, in the same order for every answer; absent where one decides alone. */
  readonly votes?: readonly Label[];
}

/** A labeler at work. */
export interface LabelSession {
  /** Calls of `label` that may be under way at once; 1 if absent. */
  readonly concurrency?: number;
  /** Told of all answers before the first is labelled, where they are known by then: to say what they will cost, or to do them together. */
  prepare?(answers: readonly LabelRequest[], progress: ProgressSink): Promise<void>;
  /** 1 correct, 0 wrong, null undecided; with the votes where several have decided. */
  label(answer: LabelRequest): Label | Verdict | Promise<Label | Verdict>;
  /** What labels have cost so far, in a few words for the line of progress. */
  note?(): string;
  /** The same as numbers, for `run.json`. */
  usage?(): Readonly<Record<string, number>>;
  /** Gives back what it holds. */
  close?(): void | Promise<void>;
}

/** What a labeler decides about. */
export interface LabelRequest {
  /** The prompt that was answered. */
  readonly question: string;
  /** The right answer. */
  readonly target: string;
  /** The answer to decide about. */
  readonly answer: string;
  /** Whether the target is another answer of the model, and the two are to be compared; else it is the answer key. */
  readonly twoAnswers?: boolean;
}

/** Logits of several answers, of which the model gave one. P(correct) is the share of that one in their softmax. */
export interface ChoiceScore {
  /** One for each answer there was to choose from; two or more. */
  readonly logits: readonly number[];
  /** Index of the answer that was given. */
  readonly answer: number;
  /** Index of the right one. */
  readonly target: number;
}

/**
 * What a method says of an answer: scores of "wrong" and "correct", whose softmax is P(correct); or that probability
 * itself, in [0, 1]; or the logits of the answers that it was chosen from; or null where it has nothing to say, as when
 * a model's words cannot be read as a probability.
 */
export type Score = readonly [wrong: number, correct: number] | number | ChoiceScore | null;

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
  /** The style of the prompts, for methods that have the model answer them again. */
  readonly style?: PromptStyle;
  /** Whether the answers were given in the model's chat template, for methods that read or write them again. */
  readonly chat?: boolean;
  /** The labeler the user chose, for methods that compare answers; see {@linkcode LabelRequest.twoAnswers}. */
  readonly label?: (answer: LabelRequest) => Promise<Label>;
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
  /** Told what the user should know though nothing is wrong, as a sentence. */
  warn?(text: string): void;
  /** Where checkpoints go; training continues from the newest complete one it finds there. */
  readonly folder: string;
  /** Aborted when the user wants to stop: finish the step, save a checkpoint, then throw the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Learns and gives a confidence in an answer. */
export interface Method<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `train` and `predict`. */
  readonly kind: "method";
  /**
   * Trains, and resolves to the folder of the last checkpoint. Reads only training and validation rows. Absent in a
   * method that needs no training.
   */
  train?(model: LanguageModel, rows: TrainingRows, context: TrainingContext<O>): Promise<string>;
  /**
   * A score for each row, in order.
   *
   * @param checkpoint a folder that `train` wrote; without one, the untuned model is asked
   * @throws {UserError} of kind `usage` without a checkpoint, for a method that can say nothing before it is trained
   */
  predict(
    model: LanguageModel,
    rows: readonly Generation[],
    context: MethodContext<O> & { readonly checkpoint?: string },
  ): AsyncIterable<Score>;
}

/** A method that can be trained. */
export type TrainableMethod<O extends Options = Options> = Method<O> & Required<Pick<Method<O>, "train">>;

/** Where progress goes; the tasks draw it. */
export interface ProgressSink {
  /** `done` of `total` units are done, Infinity where the total is not known; `note` is a short text such as the loss. */
  update(done: number, total: number, note?: string): void;
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

/** Models behind an API, which answer in text; nothing else is to be had of them, no tokens and no logits. */
export interface RemoteModel<O extends Options = Options> extends PluginBase<O> {
  /** Marks the contract: `open`. */
  readonly kind: "model";
  /** What stands behind the colon of `name:argument`, for help. */
  readonly argument: string;
  /** Begins to ask a model; whoever opens it closes what it gets. */
  open(options: O, context: RemoteModelContext): Promise<TextModel>;
  /** What else decides the answers, for `run.json`: the address of an endpoint. */
  revision?(options: O, context: RemoteModelContext): Promise<Json>;
}

/** What a remote model may use. */
export type RemoteModelContext = Pick<LabelerContext, "argument" | "cacheDir" | "warn">;

/** How a text is written. */
export type TextOptions = Pick<GenerationOptions, "maxNewTokens" | "temperature" | "topP" | "seed">;

/** A model that continues a text by a text. */
export interface TextModel {
  /** For messages: what the user called it. */
  readonly name: string;
  /** Prompts that may be under way at once; 1 if absent. */
  readonly concurrency?: number;
  /** Told of all prompts before the first is sent, to say what they will cost. */
  prepare?(prompts: readonly string[], options: TextOptions): Promise<void>;
  /** What it writes after a prompt. */
  write(prompt: string, options: TextOptions): Promise<string>;
  /** What it has cost so far, in a few words for the line of progress. */
  note?(): string;
  /** The same as numbers, for `run.json`. */
  usage?(): Readonly<Record<string, number>>;
  /** Gives back what it holds. */
  close?(): void | Promise<void>;
}
