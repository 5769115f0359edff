/** Confidence from the model's own answer: how likely it was to be written, without another question. */
import {
  answeredText,
  checkOptions,
  type ContinuedSequence,
  encodePrompt,
  encodeWithin,
  type Generation,
  type LanguageModel,
  type Method,
  promptText,
  type Score,
} from "../../core/mod.ts";
import { choiceLogits } from "./choice_logits.ts";
import { checkUntrained } from "./untrained.ts";

/** What of the answer is looked at. */
export const LOGITS_CONFIDENCES = ["likelihood", "normalised", "entropy", "choice"] as const;

/** Options of {@linkcode logits}. */
export interface LogitsOptions {
  /**
   * `likelihood` of the answer's tokens, their product; `normalised` by length, their geometric mean; `entropy`, e to
   * the minus mean entropy of the distributions that they come from; `choice`, the answer's share among the options.
   */
  readonly confidence: typeof LOGITS_CONFIDENCES[number];
}

/** The usual baselines of the literature, as P(correct) although nothing makes them one: see calibrators. */
export const logits: Method<LogitsOptions> = {
  kind: "method",
  name: "logits",
  version: 1,
  description: "How likely the model was to give its answer, without another question",
  defaults: { confidence: "likelihood" },
  help: { confidence: LOGITS_CONFIDENCES.join(", ") },
  check,
  async *predict(model, rows, context) {
    const { options, checkpoint, progress, batchSize } = context;
    check(options);
    await checkUntrained(logits.name, checkpoint);
    if (options.confidence === "choice") {
      for await (const { answer, ...score } of choiceLogits(model, rows, context)) {
        yield answer === null ? null : { ...score, answer };
      }
      return;
    }
    const sequences = rows.map((row) => answerOf(model, row, context.chat));
    let done = 0;
    for await (const { logprobs, entropies } of model.scoreContinuations(sequences, { batchSize })) {
      progress.update(++done, rows.length);
      yield confidenceOf(options.confidence, logprobs, entropies);
    }
  },
};

function check(options: LogitsOptions): void {
  checkOptions(logits, options, [
    [
      "confidence",
      LOGITS_CONFIDENCES.includes(options.confidence),
      `one of ${LOGITS_CONFIDENCES.join(", ")}`,
    ],
  ]);
}

/** The tokens of an answer are those by which the text grew, or the model's turn of a chat. */
function answerOf(model: LanguageModel, row: Generation, chat = false): ContinuedSequence {
  if (chat) {
    const tokens = row.output === "" ? [] : model.tokenizer.encode(row.output, { specialTokens: false });
    const limit = model.contextLength - tokens.length;
    return { prefix: encodePrompt(model.tokenizer, row, { chat, limit }), tokens };
  }
  const encode = (text: string) => encodeWithin(model.tokenizer, text, model.contextLength, row.id);
  const prompt = encode(promptText(row)), answered = encode(answeredText(row, row.output));
  let shared = 0;
  while (shared < prompt.length && prompt[shared] === answered[shared]) shared++;
  return { prefix: answered.slice(0, shared), tokens: row.output === "" ? [] : answered.slice(shared) };
}

/** An empty answer has no token that could have been likely. */
function confidenceOf(
  confidence: Exclude<LogitsOptions["confidence"], "choice">,
  logprobs: readonly number[],
  entropies: readonly number[],
): Score {
  if (logprobs.length === 0) return null;
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const exponent = confidence === "likelihood"
    ? sum(logprobs)
    : sum(confidence === "normalised" ? logprobs : entropies.map((entropy) => -entropy)) / logprobs.length;
  // f32 may round a certain token's log-probability to just above 0.
  return Math.exp(Math.min(0, exponent));
}
