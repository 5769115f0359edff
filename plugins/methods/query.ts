/** What the methods have in common that ask the model whether its answer is correct. */
import {
  answerTokens,
  checkChat,
  encodeQuery,
  type Generation,
  type LanguageModel,
  type MethodContext,
  type OptionLimit,
  QUERY_FORMATS,
  queryFormat,
  type QueryOptions,
} from "../../core/mod.ts";

/** How a model is asked about its answers; an adapter that says how it was taught goes before it. */
export interface QueryMethodOptions {
  /** `roman_choice`, as the research code's adapters were taught; `alpha_choice` or `bool`. */
  readonly queryFormat: string;
  /** Whether question, answer and query are turns of a chat, in the model's template; else one plain text. */
  readonly queryChat: boolean;
}

/** The research code's way to ask. */
export const QUERY_DEFAULTS: QueryMethodOptions = { queryFormat: "roman_choice", queryChat: false };

/** What the options do, for `--help`. */
export const QUERY_HELP = {
  queryFormat: QUERY_FORMATS.map(({ name }) => name).join(", "),
  queryChat: "ask in the model's chat template",
} as const;

/** What the options may be. */
export const queryLimits = <O extends Pick<QueryMethodOptions, "queryFormat">>(
  { queryFormat: name }: O,
): OptionLimit<O>[] => [
  [
    "queryFormat",
    QUERY_FORMATS.some((format) => format.name === name),
    `one of ${QUERY_FORMATS.map(({ name }) => name).join(", ")}`,
  ],
];

/** How rows are asked about, and the tokens that answer. @throws {UserError} if the model cannot be asked so */
export function queryOf(
  model: LanguageModel,
  { queryFormat: name, queryChat }: QueryMethodOptions,
  where?: string,
): { readonly query: QueryOptions; readonly tokens: [number, number] } {
  const format = queryFormat(name, where);
  if (queryChat) {
    checkChat(model.tokenizer, where ?? "--query-chat", "ask another model, or without --query-chat");
  }
  const tokens = answerTokens(model.tokenizer, format);
  return { query: { format, chat: queryChat, limit: model.contextLength }, tokens };
}

/** Logits of "no" and "yes" where the model is to say whether its answer is correct; with a checkpoint, its adapter's. */
export async function* predictQuery(
  model: LanguageModel,
  rows: readonly Generation[],
  { batchSize, checkpoint, progress, options }:
    & MethodContext<Partial<QueryMethodOptions>>
    & { readonly checkpoint?: string },
): AsyncIterable<readonly [number, number]> {
  const adapter = checkpoint === undefined ? undefined : await model.loadAdapter(checkpoint);
  try {
    const taught = adapter?.info?.queryFormat;
    // An adapter is asked as it was taught; one that says nothing of it, as the research code's were.
    const { query, tokens } = adapter
      ? queryOf(model, {
        queryFormat: taught ?? QUERY_DEFAULTS.queryFormat,
        queryChat: adapter.info?.queryChat ?? false,
      }, `adapter ${checkpoint}`)
      : queryOf(model, { ...QUERY_DEFAULTS, ...options });
    const sequences = rows.map((row) => encodeQuery(model.tokenizer, row, query));
    let done = 0;
    for await (const [wrong, correct] of model.tokenLogits(sequences, tokens, { batchSize, adapter })) {
      progress.update(++done, rows.length);
      yield [wrong, correct];
    }
  } finally {
    adapter?.free();
  }
}
