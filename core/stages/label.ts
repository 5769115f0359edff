import { UserError } from "../errors.ts";
import { type Generation, type Label, type Labeled, promptText } from "../records.ts";
import type { Labeler, Options } from "../types.ts";

/**
 * Labels answers, several at once where the labeler allows it.
 *
 * @returns rows in order
 */
export async function* labelAnswers<O extends Options>(
  answers: readonly Generation[],
  labeler: Labeler<O>,
  options: O,
): AsyncIterable<Labeled> {
  const ahead = Math.max(1, labeler.concurrency ?? 1);
  const pending: Promise<Labeled>[] = [];
  let next = 0;
  try {
    while (next < answers.length || pending.length > 0) {
      while (next < answers.length && pending.length < ahead) {
        const labeled = labelOne(answers[next++], labeler, options);
        // One that fails before its turn is thrown in its turn; until then it must not count as unhandled.
        labeled.catch(() => {});
        pending.push(labeled);
      }
      yield await pending.shift()!;
    }
  } finally {
    // A caller that stops early must not leave work behind.
    await Promise.allSettled(pending);
  }
}

async function labelOne<O extends Options>(
  row: Generation,
  labeler: Labeler<O>,
  options: O,
): Promise<Labeled> {
  let label: Label;
  try {
    label = await labeler.label(
      { question: promptText(row), target: row.target, answer: row.output },
      options,
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError({
      kind: "plugin",
      what: `Labeler "${labeler.name}" threw: ${reason}`,
      where: `row ${row.id}`,
      fix: "report it to the plugin's author, or use another --strategy",
      cause: error,
    });
  }
  if (label !== 0 && label !== 1 && label !== null) {
    throw new UserError({
      kind: "plugin",
      what: `Labeler "${labeler.name}" gave ${JSON.stringify(label)}`,
      where: `row ${row.id}`,
      fix: "a label is 1 correct, 0 wrong or null undecided",
    });
  }
  return { ...row, label };
}
