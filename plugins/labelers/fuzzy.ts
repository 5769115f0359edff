import {
  type ChatBody,
  ChatClient,
  checkOptions,
  dollars,
  type Label,
  type Labeler,
  type LabelerContext,
  type LabelRequest,
  type LabelSession,
  openAiSettings,
  type Price,
  priceOf,
  type ProgressSink,
  ReplyCache,
  requestLimits,
} from "../../core/mod.ts";
import {
  GRADING_VERSION,
  gradingChat,
  readStructuredVerdict,
  readVerdict,
  VERDICT_FORMAT,
} from "./grading.ts";

/** Options of `fuzzy`; a number of 0 stands for none. */
export interface FuzzyOptions {
  /** Requests under way at once. */
  readonly concurrency: number;
  /** Seconds after which a request is given up and tried again. */
  readonly timeout: number;
  /** Tokens of a reply at most. */
  readonly maxTokens: number;
  /** Whether the endpoint is told to reply in JSON of a schema. */
  readonly structured: boolean;
  /** Whether answers that are known before the first is labelled go through the Batch API. */
  readonly batchApi: boolean;
  /** Dollars per million tokens read. */
  readonly priceInput: number;
  /** Dollars per million tokens written. */
  readonly priceOutput: number;
  /** Dollars that one run may cost. */
  readonly maxCost: number;
}

/**
 * Asks a model behind an OpenAI-compatible endpoint (`OPENAI_BASE_URL`, `OPENAI_API_KEY`) whether an answer is right, in
 * the research code's words. A reply that is neither "yes" nor "no" is asked for once more, then the answer is undecided.
 */
export const fuzzy: Labeler<FuzzyOptions> = {
  kind: "labeler",
  name: "fuzzy",
  version: 1,
  description: "1 when a model behind an OpenAI-compatible endpoint says so",
  argument: "<model>",
  defaults: {
    concurrency: 20,
    timeout: 60,
    maxTokens: 16,
    structured: false,
    batchApi: false,
    priceInput: 0,
    priceOutput: 0,
    maxCost: 0,
  },
  help: {
    concurrency: "requests under way at once",
    timeout: "seconds after which a request is tried again",
    maxTokens: "tokens of a reply at most",
    structured: "have the endpoint reply in JSON of a schema",
    batchApi: "ask in batches, for half the price, within a day",
    priceInput: "dollars per million tokens read (OpenAI's are known)",
    priceOutput: "dollars per million tokens written",
    maxCost: "dollars after which the run stops, to be gone on with",
  },
  incidental: ["concurrency", "timeout", "batchApi", "priceInput", "priceOutput", "maxCost"],
  check(options) {
    const { maxTokens } = options;
    checkOptions(fuzzy, options, [
      ...requestLimits(options),
      [
        "maxTokens",
        Number.isInteger(maxTokens) && maxTokens >= 0,
        "a whole number from 0, which is no limit",
      ],
    ]);
  },
  revision: () => Promise.resolve(openAiSettings().baseUrl),
  open: (options, context) => FuzzySession.open(options, context),
};

class FuzzySession implements LabelSession {
  readonly concurrency: number;
  readonly #options: FuzzyOptions;
  readonly #context: LabelerContext;
  readonly #cache: ReplyCache;
  readonly #client: ChatClient;
  readonly #price?: Price;
  #undecided = 0;

  private constructor(options: FuzzyOptions, context: LabelerContext, cache: ReplyCache) {
    const { concurrency, timeout, priceInput, priceOutput, maxCost } = options;
    const settings = openAiSettings();
    this.concurrency = concurrency;
    this.#options = options;
    this.#context = context;
    this.#cache = cache;
    this.#price = priceInput > 0 || priceOutput > 0
      ? { input: priceInput, output: priceOutput }
      : priceOf(settings.baseUrl, context.argument);
    this.#client = new ChatClient(settings, {
      concurrency,
      timeoutMs: 1000 * timeout,
      price: this.#price,
      ...(maxCost > 0 && { maxCost }),
      cache,
      replyTokens: 2,
      version: GRADING_VERSION,
    });
  }

  static async open(options: FuzzyOptions, context: LabelerContext): Promise<FuzzySession> {
    const { baseUrl } = openAiSettings();
    const cache = await ReplyCache.open(context.cacheDir, baseUrl, context.argument);
    return new FuzzySession(options, context, cache);
  }

  async prepare(answers: readonly LabelRequest[], progress: ProgressSink): Promise<void> {
    const bodies = new Map(
      answers.map((answer) => this.#body(answer)).map((body) => [this.#client.key(body), body]),
    );
    const asked = [...bodies].filter(([key]) => !this.#client.has(key)).map(([, body]) => body);
    let tokens = 0, cost = 0;
    for (const estimate of asked.map((body) => this.#client.estimate(body))) {
      tokens += estimate.promptTokens;
      cost += estimate.cost ?? 0;
    }
    if (asked.length === 0) return;
    const number = (value: number) => Math.round(value).toLocaleString("en");
    const known = answers.length > asked.length
      ? `; ${number(answers.length - asked.length)} more are known or alike`
      : "";
    const about = this.#price
      ? `, about ${dollars(this.#options.batchApi ? cost / 2 : cost)}${
        this.#price.date ? ` (prices of ${this.#price.date})` : ""
      }`
      : ", of a price that is not known";
    this.#context.warn(
      `${this.#context.argument} is asked about ${number(asked.length)} answers: about ${
        number(tokens)
      } tokens${about}${known}.`,
    );
    if (!this.#options.batchApi) return;
    // Beside the file of replies, which belongs to the endpoint and the model too.
    await this.#client.askInBatches(bodies, `${this.#cache.path}.batches`, progress);
    const left = asked.filter((body) => !this.#client.has(this.#client.key(body))).length;
    if (left > 0) {
      this.#context.warn(`The batches left ${number(left)} answers, which are asked about one by one.`);
    }
  }

  async label(answer: LabelRequest): Promise<Label> {
    const read = this.#options.structured ? readStructuredVerdict : readVerdict, body = this.#body(answer);
    for (const repeat of [0, 1]) {
      const { text, finishReason } = await this.#client.complete(body, repeat);
      const label = read(text);
      if (label !== null) return label;
      // To what is too long or filtered there is no other reply.
      if (text === "" && finishReason !== "stop") break;
    }
    this.#undecided++;
    return null;
  }

  note(): string {
    return [this.#client.note(), this.#undecided > 0 && `${this.#undecided} undecided`].filter(Boolean).join(
      "  ",
    );
  }

  usage(): Readonly<Record<string, number>> {
    return { ...this.#client.usage(), undecided: this.#undecided };
  }

  close(): void {
    this.#cache[Symbol.dispose]();
  }

  #body(answer: LabelRequest): ChatBody {
    const { maxTokens, structured } = this.#options;
    return {
      model: this.#context.argument,
      messages: gradingChat(answer).map(({ role, content }) => ({ role, content })),
      temperature: 0,
      ...(maxTokens > 0 && { max_tokens: maxTokens }),
      ...(structured && { response_format: VERDICT_FORMAT }),
    };
  }
}
