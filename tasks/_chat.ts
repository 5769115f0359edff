import {
  type Calibrator,
  type ChatMessage,
  type ChatUse,
  createRng,
  encodeChat,
  generateAnswers,
  type Labeled,
  type LanguageModel,
  type Method,
  type Options,
  predictConfidence,
  type PromptStyle,
  promptText,
  resolveOptions,
  UserError,
  usesChat,
} from "../core/mod.ts";

/** Tokens of a chat model's answer when the user names no limit; a base model's are the prompt style's to say. */
const CHAT_TOKENS = 100;

/** How answers are drawn. */
export interface ChatOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  /** The style's own if absent. */
  readonly maxNewTokens?: number;
  /** Whether the conversation is put into the model's chat template; `auto` if absent. */
  readonly chat?: ChatUse;
}

/** Whose confidence is asked. */
export interface Judge {
  /** As the user calls it. */
  readonly name: string;
  /** Folder of a checkpoint; without one, the untuned model is asked. */
  readonly checkpoint?: string;
  /** Options of the method; its defaults if absent. */
  readonly options?: Options;
  /** Maps its confidence; none: as the method says it. */
  readonly calibrator?: Calibrator;
  /** Whether a calibrator was asked for that nobody has fitted. */
  readonly unfitted?: boolean;
}

/** The zero-shot confidence: the model is asked as it is. */
export const UNTUNED: Judge = { name: "the untuned model" };

/** An answer, and how sure the model is of it. */
export interface Reply {
  readonly question: string;
  readonly answer: string;
  /**
   * Probability that the answer is correct, in [0, 1]; null where the method has none to give, absent where the user
   * stopped the answer.
   */
  readonly pCorrect?: number | null;
  /** Tokens the model wrote. */
  readonly tokens: number;
  /** Whether the limit of tokens ended it. */
  readonly cut: boolean;
}

/** A conversation with a model that says how sure it is. */
export class Chat {
  /** Of sampling. */
  temperature: number;
  readonly #model: LanguageModel;
  readonly #style: PromptStyle;
  readonly #method: Method;
  readonly #options: ChatOptions;
  readonly #remembers: boolean;
  #judge = UNTUNED;
  #turns: ChatMessage[] = [];
  #asked = 0;

  /** @throws {UserError} of kind `usage` for a prompt style that cannot word a question that somebody types */
  constructor(model: LanguageModel, style: PromptStyle, method: Method, options: ChatOptions) {
    this.#model = model;
    this.#style = style;
    this.#method = method;
    this.#options = options;
    this.#remembers = usesChat(model.tokenizer, options.chat ?? "auto");
    this.temperature = options.temperature;
    this.#word("?");
  }

  /** Whether it is a chat model, which sees the conversation; any other sees each question by itself. */
  get remembers(): boolean {
    return this.#remembers;
  }

  get judge(): Judge {
    return this.#judge;
  }

  /** Asks another judge from now on. @throws {UserError} if it is of no use to this model; the old one then stays */
  async useJudge(judge: Judge): Promise<void> {
    // Asked about nothing, a method still reads its checkpoint: what is wrong with it is said now.
    for await (const _ of this.#method.predict(this.#model, [], this.#context(judge)));
    this.#judge = judge;
  }

  /** Forgets the conversation. */
  clear(): void {
    this.#turns = [];
  }

  /**
   * Answers a question. The confidence is what an evaluation gives this question and this answer.
   *
   * @param onText told of the answer as it grows
   * @param signal when aborted, the answer ends as it is, without a confidence, and is not remembered
   */
  async ask(question: string, onText?: (answer: string) => void, signal?: AbortSignal): Promise<Reply> {
    const { topP, seed, maxNewTokens = this.#mostTokens } = this.#options;
    // A chat model's answer may have several lines.
    const style = this.remembers ? { ...this.#style, cleanUp: trim, isComplete: undefined } : this.#style;
    const answers = generateAnswers(this.#model, [this.#word(question)], style, {
      ...{ maxNewTokens, batchSize: 1, temperature: this.temperature, topP, signal },
      // The same question again gets another sample, and the same conversation again the same ones.
      seed: createRng(seed).split(`question ${this.#asked++}`).integer(2 ** 32 - 1),
      onText: (_, answer) => onText?.(answer),
      encode: (_, limit) => this.#encode(question, limit),
    });
    for await (const { answer, tokens } of answers) {
      const written = this.#model.tokenizer.decode(tokens);
      const cut = tokens.length >= maxNewTokens && !style.isComplete?.(written, style.defaults);
      const reply = { question, answer: answer.output, tokens: tokens.length, cut };
      if (signal?.aborted) return reply;
      const pCorrect = await this.#confidence({ ...answer, label: null });
      if (signal?.aborted) return reply;
      this.#turns.push({ role: "user", content: question }, { role: "assistant", content: answer.output });
      return { ...reply, pCorrect };
    }
    throw new UserError({
      kind: "internal",
      what: "The model gave no answer",
      where: this.#model.name,
      fix: "report this with the command that led to it",
    });
  }

  get #mostTokens(): number {
    return this.remembers ? CHAT_TOKENS : this.#style.maxNewTokens;
  }

  async #confidence(row: Labeled): Promise<number | null> {
    const { calibrator } = this.#judge;
    const context = this.#context(this.#judge);
    let pCorrect: number | null = null;
    for await (
      const prediction of predictConfidence(this.#model, [row], this.#method, context, calibrator)
    ) pCorrect = prediction.pCorrect;
    return pCorrect;
  }

  #context({ checkpoint, options = resolveOptions(this.#method, {}) }: Judge) {
    const rng = createRng(this.#options.seed).split("predict");
    const progress = { update: () => {} };
    return {
      options,
      rng,
      batchSize: 1,
      progress,
      style: this.#style,
      chat: this.#remembers,
      checkpoint,
    };
  }

  #word(question: string) {
    try {
      return this.#style.render(
        { id: "typed", split: "test", question, answer: "" },
        [],
        this.#style.defaults,
      );
    } catch (error) {
      if (!(error instanceof UserError) || error.exitCode === 1) throw error;
      throw new UserError({
        kind: "usage",
        what: `Prompt style "${this.#style.name}" cannot word a question that is typed: ${error.what}`,
        where: "--prompt-style",
        fix: "use --prompt-style=oe",
        cause: error,
      });
    }
  }

  /** What the model reads: the conversation, without its oldest turns where it is too long; or the question alone. */
  #encode(question: string, limit: number): number[] {
    const { tokenizer } = this.#model;
    while (true) {
      const ids = this.#remembers
        ? encodeChat(tokenizer, [...this.#turns, { role: "user", content: question }])
        : tokenizer.encode(promptText(this.#word(question)));
      if (ids.length <= limit) return ids;
      if (this.#turns.length === 0 || !this.#remembers) throw tooLong(question, ids.length, limit);
      this.#turns = this.#turns.slice(2);
    }
  }
}

function trim(text: string): string {
  return text.trim();
}

function tooLong(question: string, tokens: number, limit: number): UserError {
  return new UserError({
    kind: "data",
    what: `The question has ${tokens} tokens, but the model reads at most ${limit} before an answer`,
    where: `the question that begins ${JSON.stringify(question.slice(0, 60))}`,
    fix: "shorten it, lower --max-new-tokens, or use a model with a longer context",
  });
}
