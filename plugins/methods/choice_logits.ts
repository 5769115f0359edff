/** How a model's answer compares with the other options of its question. */
import {
  type ChoiceScore,
  dataError,
  encodePrompt,
  type Generation,
  type LanguageModel,
  listedChoices,
  type MethodContext,
  type Tokenizer,
} from "../../core/mod.ts";

/**
 * Logits of the options' letters behind each question, in order, of any number of options.
 *
 * The answer that was given is null where it is none of the letters, which a model may write.
 *
 * @throws {UserError} of kind `data` for a row without options, or whose right answer is none of them
 */
export async function* choiceLogits(
  model: LanguageModel,
  rows: readonly Generation[],
  { batchSize, progress, chat = false }: Pick<MethodContext, "batchSize" | "progress" | "chat">,
): AsyncIterable<Omit<ChoiceScore, "answer"> & { readonly answer: number | null }> {
  const choices = rows.map((row) => ({ row, ...choicesOf(row) }));
  let done = 0;
  // Rows whose answers stand behind the same words share their letters' tokens: mostly all rows.
  while (done < rows.length) {
    const { targetPrompt } = rows[done];
    const end = rows.findIndex((row, index) => index > done && row.targetPrompt !== targetPrompt);
    const part = choices.slice(done, end < 0 ? rows.length : end);
    const letters = part.reduce<readonly string[]>(
      (most, { letters }) => letters.length > most.length ? letters : most,
      [],
    );
    const tokens = letters.map((letter) => letterToken(model.tokenizer, chat ? "" : targetPrompt, letter));
    const sequences = part.map(({ row }) =>
      encodePrompt(model.tokenizer, row, { chat, limit: model.contextLength })
    );
    for await (const logits of model.tokenLogits(sequences, tokens, { batchSize })) {
      const { letters, answer, target } = choices[done];
      progress.update(++done, rows.length);
      yield { logits: logits.slice(0, letters.length), answer: answer < 0 ? null : answer, target };
    }
  }
}

function choicesOf(row: Generation): { letters: readonly string[]; answer: number; target: number } {
  const letters = listedChoices(row);
  if (letters.length < 2) {
    throw dataError(
      `The question lists ${letters.length === 0 ? "no options" : "one option"} to choose from`,
      `row ${row.id}`,
      "answer with --prompt-style=choice, or use another --confidence, as in --confidence=likelihood",
    );
  }
  const target = letters.indexOf(row.target.trim());
  if (target < 0) {
    throw dataError(
      `The right answer, ${JSON.stringify(row.target)}, is none of ${letters.join(", ")}`,
      `row ${row.id}`,
      "correct the row",
    );
  }
  return { letters, answer: letters.indexOf(row.output.trim().replace(/^\((\w)\)$/, "$1")), target };
}

/** The token by which a letter goes on from what answers follow; in a chat that is nothing. */
function letterToken(tokenizer: Tokenizer, targetPrompt: string, letter: string): number {
  const beginning = targetPrompt.trim(), specialTokens = beginning !== "";
  const before = tokenizer.encode(beginning, { specialTokens }).length;
  const ids = tokenizer.encode(`${beginning} ${letter}`.trim(), { specialTokens });
  if (ids.length === before + 1) return ids.at(-1)!;
  throw dataError(
    `The answer "${letter}" has ${ids.length - before} tokens`,
    "tokenizer",
    "use a model whose tokenizer has each letter as one token, or another --confidence",
  );
}
