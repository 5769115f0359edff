/**
 * LoRA+Prompt (arXiv 2406.08391): an adapter is trained so that the model answers "Is the proposed answer correct?"
 * about its own answers, while it goes on answering as before.
 */
import {
  answeredText,
  type DivergenceType,
  encodePrompt,
  encodeQuery,
  encodeWithin,
  type Labeled,
  type LanguageModel,
  promptText,
  type TrainableMethod,
  type TrainingContext,
  type TrainingExample,
  type TrainingRows,
} from "../../core/mod.ts";
import {
  ADAPTER_TRAINING,
  ADAPTER_TRAINING_HELP,
  type AdapterTrainingOptions,
  checkTrainingOptions,
} from "./adapter_options.ts";
import { checkClasses, decided, trainAdapter, VALIDATION_ROWS, withinLength } from "./adapter_training.ts";
import {
  predictQuery,
  QUERY_DEFAULTS,
  QUERY_HELP,
  queryLimits,
  type QueryMethodOptions,
  queryOf,
} from "./query.ts";

/** Options of {@linkcode loraPrompt}; the defaults are the paper's recipe. */
export interface LoraPromptOptions extends AdapterTrainingOptions, QueryMethodOptions {
  /** Weight of the divergence from the reference on the right answer's tokens; 0 leaves it out. */
  readonly klDecay: number;
  /** `jsd`, `forward_kl` (reference‖tuned) or `reverse_kl` (tuned‖reference). */
  readonly klType: DivergenceType;
  /**
   * Folder of the adapter with which the model is the reference of the divergence. As in the research code, "" stands
   * for the adapter that is started from, and the frozen model where there is none.
   */
  readonly refPeftDir: string;
  /** Share of the label that is spread over both answers. */
  readonly labelSmoothing: number;
}

/** Values of `klType`. */
const DIVERGENCES: readonly DivergenceType[] = ["jsd", "forward_kl", "reverse_kl"];

/** The method of the paper. */
export const loraPrompt: TrainableMethod<LoraPromptOptions> = {
  kind: "method",
  name: "lora-prompt",
  version: 1,
  description: "LoRA+Prompt: an adapter that answers whether the proposed answer is correct",
  defaults: {
    ...ADAPTER_TRAINING,
    ...QUERY_DEFAULTS,
    klDecay: 1,
    klType: "jsd",
    refPeftDir: "",
    labelSmoothing: 0,
  },
  help: {
    ...ADAPTER_TRAINING_HELP,
    ...QUERY_HELP,
    klDecay: "weight of staying close to the reference",
    klType: `how far: ${DIVERGENCES.join(", ")}`,
    refPeftDir: "adapter of the reference; else --peft-dir, or none",
    labelSmoothing: "share of a label spread over both answers",
  },
  check,
  train,
  predict: predictQuery,
};

function check(options: LoraPromptOptions): void {
  const { klDecay, klType, labelSmoothing } = options;
  checkTrainingOptions(loraPrompt.name, options, [
    ["klDecay", klDecay >= 0, "a number from 0"],
    ["klType", DIVERGENCES.includes(klType), `one of ${DIVERGENCES.join(", ")}`],
    ["labelSmoothing", labelSmoothing >= 0 && labelSmoothing <= 1, "a number from 0 to 1"],
    ...queryLimits(options),
  ]);
}

async function train(
  model: LanguageModel,
  rows: TrainingRows,
  context: TrainingContext<LoraPromptOptions>,
): Promise<string> {
  const { options } = context, { klDecay } = options;
  check(options);
  const trainRows = decided(rows.train);
  const asked = queryOf(model, options);
  const exampleOf = (row: Labeled, id: number) => example(model, row, id, asked, options);
  const examples = withinLength(trainRows.map(exampleOf), "train", context);
  checkClasses(examples.map(({ id }) => trainRows[id]));
  const validation = withinLength(
    decided(rows.validation).slice(0, VALIDATION_ROWS)
      .map((row, index) => exampleOf(row, trainRows.length + index)),
    "validation",
    context,
  );
  const reference = klDecay > 0 ? options.refPeftDir || options.peftDir || undefined : undefined;
  return await trainAdapter(
    model,
    {
      ...{ examples, validation, ids: trainRows.map(({ id }) => id), klDecay, reference },
      query: { queryFormat: options.queryFormat, queryChat: options.queryChat },
    },
    context,
  );
}

/**
 * One row as two continuations of the prompt: the question about the model's answer, and the right answer, on whose
 * tokens the model is to stay as it was. What the two have in common is computed once.
 */
function example(
  model: LanguageModel,
  row: Labeled,
  id: number,
  { query: options, tokens }: ReturnType<typeof queryOf>,
  { klDecay, klType, labelSmoothing }: LoraPromptOptions,
): TrainingExample {
  const query = encodeQuery(model.tokenizer, row, options);
  const choice = {
    kind: "choice",
    branch: 0,
    tokens,
    label: row.label!,
    smoothing: labelSmoothing,
    weight: 1,
  } as const;
  if (klDecay <= 0) return { id, prefix: query, branches: [[]], losses: [choice] };
  const { target, count } = targetOf(model, row, options.chat ?? false);
  let shared = 0;
  while (shared < query.length && shared < target.length && query[shared] === target[shared]) shared++;
  return {
    id,
    prefix: query.slice(0, shared),
    branches: [query.slice(shared), target.slice(shared)],
    losses: [choice, { kind: "divergence", branch: 1, count, type: klType, weight: klDecay }],
  };
}

/** The right answer behind its prompt, and how many of the tokens are its own. */
function targetOf(
  { tokenizer, contextLength }: LanguageModel,
  row: Labeled,
  chat: boolean,
): { readonly target: readonly number[]; readonly count: number } {
  if (chat) {
    const answer = tokenizer.encode(row.target, { specialTokens: false });
    const prompt = encodePrompt(tokenizer, row, { chat, limit: contextLength - answer.length });
    return { target: [...prompt, ...answer], count: Math.max(1, answer.length) };
  }
  const encode = (text: string) => encodeWithin(tokenizer, text, contextLength, row.id);
  const target = encode(answeredText(row, row.target));
  // As in the research code: the target's tokens are those by which the text grew.
  return { target, count: Math.max(1, target.length - encode(promptText(row)).length) };
}
