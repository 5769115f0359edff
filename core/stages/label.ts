import type { OpenLabeler } from "../labelers.ts";
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
  /** What has come, and whoever waits for it: a race of all that is under way would take time with each of them. */
  const finished: { index: number; answer: Labeled; votes?: readonly Label[] }[] = [], failed: unknown[] = [];
  let next = 0, running = 0, arrived = Promise.withResolvers<void>();
  const start = (index: number) => {
    running++;
    const row = answers[index];
    labeler.judge(labelRequest(row), `row ${row.id}`).then(
      ({ label, votes }) => finished.push({ index, answer: { ...row, label }, votes }),
      (error) => failed.push(error),
    ).finally(() => {
      running--;
      arrived.resolve();
    });
  };
  try {
    while (next < answers.length || running > 0 || finished.length > 0) {
      while (next < answers.length && running < labeler.concurrency && failed.length === 0) start(next++);
      if (finished.length > 0) yield finished.shift()!;
      else if (running === 0) break;
      else {
        await arrived.promise;
        arrived = Promise.withResolvers();
      }
    }
    if (failed.length > 0) throw failed[0];
  } finally {
    // A caller that stops early must not leave work behind.
    while (running > 0) {
      await arrived.promise;
      arrived = Promise.withResolvers();
    }
  }
}
