import {
  type ChatBody,
  ChatClient,
  checkOptions,
  type Label,
  type Labeler,
  type LabelerContext,
  type LabelRequest,
  type LabelSession,
  openAiSettings,
  type ProgressSink,
  REQUEST_DEFAULTS,
  REQUEST_HELP,
  REQUEST_OPTIONS,
  requestLimits,
  type RequestSettings,
} from "../../core/mod.ts";
import {
  GRADING_VERSION,
  gradingChat,
  readStructuredVerdict,
  readVerdict,
  VERDICT_FORMAT,
} from "./grading.ts";

/** Options of `fuzzy`; a number of 0 stands for none. */
export interface FuzzyOptions extends RequestSettings {
  /** Tokens of a reply at most. */
  readonly maxTokens: number;
  /** Whether the endpoint is told to reply in JSON of a schema. */
  readonly structured: boolean;
  /** Whether answers that are known before the first is labelled go through the Batch API. */
  readonly batchApi: boolean;
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
  defaults: { ...REQUEST_DEFAULTS, maxTokens: 16, structured: false, batchApi: false },
  help: {
    ...REQUEST_HELP,
    maxTokens: "tokens of a reply at most",
    structured: "have the endpoint reply in JSON of a schema",
    batchApi: "ask in batches, for half the price, within a day",
  },
  incidental: [...REQUEST_OPTIONS, "batchApi"],
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
  open: async (options, context) => {
    const about = { cacheDir: context.cacheDir, replyTokens: 2, version: GRADING_VERSION };
    return new FuzzySession(options, context, await ChatClient.open(context.argument, options, about));
  },
};

class FuzzySession implements LabelSession {
  readonly concurrency: number;
  readonly #options: FuzzyOptions;
  readonly #context: LabelerContext;
  readonly #client: ChatClient;
  #undecided = 0;

  constructor(options: FuzzyOptions, context: LabelerContext, client: ChatClient) {
    this.concurrency = options.concurrency;
    this.#options = options;
    this.#context = context;
    this.#client = client;
  }

  async prepare(answers: readonly LabelRequest[], progress: ProgressSink): Promise<void> {
    const { batchApi: batches } = this.#options, { argument: model, warn } = this.#context;
    const { asked, text } = this.#client.forecast(answers.map((answer) => this.#body(answer)), { batches });
    if (asked.size === 0) return;
    warn(`${model} is asked about ${asked.size.toLocaleString("en")} answers: ${text}.`);
    if (!batches) return;
    await this.#client.askInBatches(asked, progress);
    const left = [...asked.keys()].filter((key) => !this.#client.has(key)).length;
    if (left > 0) {
      warn(`The batches left ${left.toLocaleString("en")} answers, which are asked about one by one.`);
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
    this.#client.close();
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
