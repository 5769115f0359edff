/**
 * An adapter that acts on the question "Is the proposed answer correct?" alone. What the model read and wrote before it
 * is as it was, so its answers cannot change and their KV cache serves the question too: a confidence costs one pass over
 * the question, and training differentiates nothing else.
 *
 * The adapter is one of PEFT's activated LoRA (arXiv 2504.12397).
 */
import {
  answerTokens,
  dataError,
  encodeQuery,
  type Labeled,
  type LanguageModel,
  type QueryFormat,
  queryFormat,
  queryTokens,
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
import { predictQuery, QUERY_DEFAULTS, QUERY_HELP, queryLimits, type QueryMethodOptions } from "./query.ts";

/** Options of {@linkcode queryLora}; the defaults are those of `lora-prompt`. */
export interface QueryLoraOptions extends AdapterTrainingOptions, Pick<QueryMethodOptions, "queryFormat"> {
  /** Share of the label that is spread over both answers. */
  readonly labelSmoothing: number;
}

/** LoRA on the question about the answer. */
export const queryLora: TrainableMethod<QueryLoraOptions> = {
  kind: "method",
  name: "query-lora",
  version: 1,
  description: "an adapter that acts on the question about the answer alone, behind the answer's KV cache",
  defaults: { ...ADAPTER_TRAINING, queryFormat: QUERY_DEFAULTS.queryFormat, labelSmoothing: 0 },
  help: {
    ...ADAPTER_TRAINING_HELP,
    queryFormat: QUERY_HELP.queryFormat,
    labelSmoothing: "share of a label spread over both answers",
  },
  check,
  train,
  predict: predictQuery,
};

function check(options: QueryLoraOptions): void {
  const { labelSmoothing } = options;
  checkTrainingOptions(queryLora.name, options, [
    ["labelSmoothing", labelSmoothing >= 0 && labelSmoothing <= 1, "a number from 0 to 1"],
    ...queryLimits(options),
  ]);
}

async function train(
  model: LanguageModel,
  rows: TrainingRows,
  context: TrainingContext<QueryLoraOptions>,
): Promise<string> {
  check(context.options);
  const trainRows = decided(rows.train);
  const { labelSmoothing: smoothing, queryFormat: name } = context.options, format = queryFormat(name);
  const tokens = answerTokens(model.tokenizer, format),
    invocationTokens = queryTokens(model.tokenizer, format);
  const exampleOf = (row: Labeled, id: number): TrainingExample => ({
    id,
    ...asked(model, row, format, invocationTokens),
    losses: [{ kind: "choice", branch: 0, tokens, label: row.label!, smoothing, weight: 1 }],
  });
  const examples = withinLength(trainRows.map(exampleOf), "train", context);
  checkClasses(examples.map(({ id }) => trainRows[id]));
  const validation = withinLength(
    decided(rows.validation).slice(0, VALIDATION_ROWS)
      .map((row, index) => exampleOf(row, trainRows.length + index)),
    "validation",
    context,
  );
  const ids = trainRows.map(({ id }) => id);
  const query = { queryFormat: name };
  return await trainAdapter(
    model,
    { examples, validation, ids, klDecay: 0, invocationTokens, query },
    context,
  );
}

/** Question and answer as prefix, and the tokens that the adapter acts on behind them. */
function asked(
  { tokenizer, contextLength }: LanguageModel,
  row: Labeled,
  format: QueryFormat,
  invocationTokens: readonly number[],
): Pick<TrainingExample, "prefix" | "branches"> {
  const query = encodeQuery(tokenizer, row, { format, limit: contextLength });
  const prefix = query.slice(0, -invocationTokens.length), branch = query.slice(-invocationTokens.length);
  if (`${branch}` === `${invocationTokens}`) return { prefix, branches: [branch] };
  throw dataError(
    "The question about this answer ends in other tokens than behind other answers",
    `row ${row.id}, whose answer ends in ${JSON.stringify(row.output.slice(-20))}`,
    "leave the row out, or use --method=lora-prompt",
  );
}
