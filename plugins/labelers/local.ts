import {
  checkOptions,
  type Label,
  type Labeler,
  type LabelerContext,
  type LabelRequest,
  type LabelSession,
  type LanguageModel,
  type Tokenizer,
  UserError,
} from "../../core/mod.ts";
import { gradingChat } from "./grading.ts";

/** Options of `local`. */
export interface LocalOptions {
  /** P(yes) from which an answer is right. */
  readonly threshold: number;
  /** How far P(yes) has to be from the threshold: what is nearer is undecided. */
  readonly undecided: number;
  /** Answers that are graded at once. */
  readonly gradeBatch: number;
}

/**
 * Asks a model that runs here whether an answer is right, in the words of `fuzzy`, and reads how much more probable "yes"
 * is than "no" as the next token. Nothing is written, so nothing can be misread, and no reply is missing.
 */
export const local: Labeler<LocalOptions> = {
  kind: "labeler",
  name: "local",
  version: 1,
  description: "1 when a model on this machine finds yes more probable than no",
  argument: "<model>",
  defaults: { threshold: 0.5, undecided: 0, gradeBatch: 16 },
  help: {
    threshold: "P(yes) from which an answer is right",
    undecided: "how near to that P(yes) leaves an answer undecided",
    gradeBatch: "answers graded at once",
  },
  incidental: ["gradeBatch"],
  check(options) {
    const { threshold, undecided, gradeBatch } = options;
    checkOptions(local, options, [
      ["threshold", threshold > 0 && threshold < 1, "a number between 0 and 1"],
      ["undecided", undecided >= 0 && undecided < 1, "a number from 0 to below 1"],
      ["gradeBatch", Number.isInteger(gradeBatch) && gradeBatch >= 1, "a whole number from 1"],
    ]);
  },
  revision: (_, { argument, describeModel }) => describeModel(argument),
  open: async (options, context) => new LocalSession(await context.model(context.argument), options, context),
};

/** An answer that waits for its batch. */
interface Waiting {
  readonly tokens: readonly number[];
  resolve(pYes: number): void;
  reject(error: unknown): void;
}

class LocalSession implements LabelSession {
  readonly concurrency: number;
  readonly #model: LanguageModel;
  readonly #options: LocalOptions;
  readonly #yes: readonly number[];
  readonly #no: readonly number[];
  #waiting: Waiting[] = [];
  #timer?: ReturnType<typeof setTimeout>;
  /** The batch before: a model reads one at a time. */
  #before: Promise<void> = Promise.resolve();
  #undecided = 0;

  constructor(model: LanguageModel, options: LocalOptions, { argument }: LabelerContext) {
    this.concurrency = options.gradeBatch;
    this.#model = model;
    this.#options = options;
    this.#yes = tokensOf(model.tokenizer, "yes", argument);
    this.#no = tokensOf(model.tokenizer, "no", argument);
  }

  async label(answer: LabelRequest): Promise<Label> {
    const { threshold, undecided } = this.#options, tokens = encode(this.#model.tokenizer, answer);
    // An answer that is too long to be read whole cannot be graded.
    const pYes = tokens.length <= this.#model.contextLength ? await this.#probability(tokens) : NaN;
    const margin = pYes - threshold;
    if (!(Math.abs(margin) >= undecided)) {
      this.#undecided++;
      return null;
    }
    return margin >= 0 ? 1 : 0;
  }

  note(): string {
    return this.#undecided > 0 ? `${this.#undecided} undecided` : "";
  }

  usage(): Readonly<Record<string, number>> {
    return { undecided: this.#undecided };
  }

  #probability(tokens: readonly number[]): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#waiting.push({ tokens, resolve, reject });
    if (this.#waiting.length >= this.#options.gradeBatch) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), 0);
    return promise;
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#before = this.#before.then(() => this.#read(batch));
  }

  async #read(batch: readonly Waiting[]): Promise<void> {
    try {
      let next = 0;
      const logits = this.#model.tokenLogits(
        batch.map(({ tokens }) => tokens),
        [...this.#yes, ...this.#no],
        { batchSize: batch.length },
      );
      for await (const row of logits) {
        const yes = logSumExp(row.slice(0, this.#yes.length)), no = logSumExp(row.slice(this.#yes.length));
        batch[next++].resolve(1 / (1 + Math.exp(no - yes)));
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

/** The tokens with which a word may begin an answer, in upper and lower case, behind a space or not. */
function tokensOf(tokenizer: Tokenizer, word: string, model: string): readonly number[] {
  const capital = word[0].toUpperCase() + word.slice(1);
  const forms = [word, capital, ` ${word}`, ` ${capital}`].map((text) =>
    tokenizer.encode(text, { specialTokens: false })
  );
  const tokens = [...new Set(forms.filter(({ length }) => length === 1).flat())];
  if (tokens.length > 0) return tokens;
  throw new UserError({
    kind: "data",
    what: `The tokenizer of ${model} has no token for "${word}"`,
    where: `--strategy=local:${model}`,
    fix: "grade with another model",
  });
}

/** The question as a chat, where the model has learnt to chat; else as a text. */
function encode({ encode, chat }: Tokenizer, answer: LabelRequest): number[] {
  const [system, user] = gradingChat(answer), text = `${system.content}\n\n${user.content}`;
  if (!chat) return encode(`${text.trimEnd()}\nAnswer:`);
  try {
    return chat([system, user]);
  } catch {
    // Templates such as Mistral's know no system turn.
    return chat([{ role: "user", content: text }]);
  }
}

function logSumExp(values: readonly number[]): number {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
