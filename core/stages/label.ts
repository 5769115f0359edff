import type { OpenLabeler } from "../labelers.ts";
import { inParallel } from "../parallel.ts";
import { type Generation, type Label, type Labeled, promptText } from "../records.ts";
import type { LabelRequest } from "../types.ts";

/** What a labeler is shown of an answer. */
export function labelRequest(row: Generation): LabelRequest {
  return { question: promptText(row), target: row.target, answer: row.output };
}

/**
 * Labels answers, several at once where the labeler allows it.
 *
 * One that fails ends it, after those that were under way.
 *
 * @returns each with its index, as they finish, and the votes of a labeler that is made of several
 */
export async function* labelAnswers(
  answers: readonly Generation[],
  labeler: OpenLabeler,
): AsyncIterable<{ readonly index: number; readonly answer: Labeled; readonly votes?: readonly Label[] }> {
  const judge = async (index: number) => {
    const row = answers[index];
    const { label, votes } = await labeler.judge(labelRequest(row), `row ${row.id}`);
    return { answer: { ...row, label }, votes };
  };
  for await (const { index, value } of inParallel(answers.length, labeler.concurrency, judge)) {
    yield { index, ...value };
  }
}
