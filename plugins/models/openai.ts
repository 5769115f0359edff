import {
  type ChatBody,
  ChatClient,
  checkOptions,
  openAiSettings,
  type RemoteModel,
  type RemoteModelContext,
  REQUEST_DEFAULTS,
  REQUEST_HELP,
  REQUEST_OPTIONS,
  requestLimits,
  type RequestSettings,
  type TextModel,
  type TextOptions,
} from "../../core/mod.ts";

/** Options of `openai`; a number of 0 stands for none. */
export interface OpenAiOptions extends RequestSettings {
  /** What the model is told before the prompt; empty for nothing. */
  readonly system: string;
  /** Whether the model reasons before it answers: such a model takes no temperature, and names its limit in another way. */
  readonly reasoning: boolean;
}

/** Raised when the same request would mean something else; part of what identifies a reply. */
const ANSWERING_VERSION = 1;

/**
 * Models behind an OpenAI-compatible endpoint (`OPENAI_BASE_URL`, `OPENAI_API_KEY`), asked by chat completions. They answer
 * questions; whether they know when they are right is for a local model to learn.
 */
export const openai: RemoteModel<OpenAiOptions> = {
  kind: "model",
  name: "openai",
  version: 1,
  description: "Models behind an OpenAI-compatible endpoint, for their answers alone",
  argument: "<model>",
  defaults: {
    ...REQUEST_DEFAULTS,
    system: "The user's text ends where an answer has to follow. " +
      "Write this answer and nothing else: no explanation, no repetition of the question.",
    reasoning: false,
  },
  help: {
    ...REQUEST_HELP,
    system: "what the model is told before the prompt",
    reasoning: "send max_completion_tokens and no temperature",
  },
  incidental: REQUEST_OPTIONS,
  check: (options) => checkOptions(openai, options, requestLimits(options)),
  revision: () => Promise.resolve(openAiSettings().baseUrl),
  open: async (options, context) => {
    const about = { cacheDir: context.cacheDir, replyTokens: 10, version: ANSWERING_VERSION };
    return new OpenAiModel(options, context, await ChatClient.open(context.argument, options, about));
  },
};

class OpenAiModel implements TextModel {
  readonly name: string;
  readonly concurrency: number;
  readonly #client: ChatClient;
  readonly #options: OpenAiOptions;
  readonly #context: RemoteModelContext;
  /** Answers that the limit on tokens cut, and those that are empty. */
  #cut = 0;
  #empty = 0;

  constructor(options: OpenAiOptions, context: RemoteModelContext, client: ChatClient) {
    this.name = `openai:${context.argument}`;
    this.concurrency = options.concurrency;
    this.#options = options;
    this.#context = context;
    this.#client = client;
  }

  prepare(prompts: readonly string[], options: TextOptions): Promise<void> {
    const { asked, text } = this.#client.forecast(prompts.map((prompt) => this.#body(prompt, options)));
    const { argument: model, warn } = this.#context;
    if (asked.size > 0) warn(`${model} is asked ${asked.size.toLocaleString("en")} questions: ${text}.`);
    return Promise.resolve();
  }

  async write(prompt: string, options: TextOptions): Promise<string> {
    const { text, finishReason } = await this.#client.complete(this.#body(prompt, options));
    if (finishReason === "length") this.#cut++;
    if (text.trim() === "") this.#empty++;
    return text;
  }

  note(): string {
    return [
      this.#client.note(),
      this.#cut > 0 && `${this.#cut} cut`,
      this.#empty > 0 && `${this.#empty} empty`,
    ].filter(Boolean).join("  ");
  }

  usage(): Readonly<Record<string, number>> {
    return { ...this.#client.usage(), cut: this.#cut, empty: this.#empty };
  }

  close(): void {
    this.#client.close();
  }

  #body(prompt: string, { maxNewTokens, temperature, topP, seed }: TextOptions): ChatBody {
    const { system, reasoning } = this.#options;
    return {
      model: this.#context.argument,
      messages: [
        ...(system === "" ? [] : [{ role: "system", content: system }]),
        { role: "user", content: prompt },
      ],
      ...(reasoning ? { max_completion_tokens: maxNewTokens } : { max_tokens: maxNewTokens, temperature }),
      ...(topP < 1 && !reasoning && { top_p: topP }),
      // At temperature 0 it would change nothing but the key of the reply.
      ...(temperature > 0 && { seed }),
    };
  }
}
