import { canonical, Journal, type Json, UserError } from "../core/mod.ts";
import { ProgressBar } from "./_progress.ts";

/** A long computation over numbered items, some of which an earlier, interrupted run may have done. */
export interface Collection<T> {
  /** Where results are kept until the stage's own file is written. */
  readonly journal: string;
  /** Everything that decides the results: a journal of other inputs is not used. */
  readonly inputs: Json;
  readonly total: number;
  /** For the progress bar. */
  readonly title: string;
  /** Computes the items with these numbers, in any order. */
  produce(todo: readonly number[]): AsyncIterable<{ readonly index: number; readonly value: T }>;
}

/** Results of all items, in order. Finished ones survive a kill and are not computed again. */
export async function collect<T>(
  { journal: path, inputs, total, title, produce }: Collection<T>,
): Promise<T[]> {
  const journal = await Journal.open<T>(path, canonical(inputs));
  try {
    const todo = Array.from({ length: total }, (_, index) => index).filter((index) =>
      !journal.entries.has(index)
    );
    using progress = new ProgressBar(title);
    progress.update(journal.entries.size, total, journal.entries.size > 0 ? "going on where it was" : "");
    for await (const { index, value } of produce(todo)) {
      await journal.append(index, value);
      progress.update(journal.entries.size, total);
    }
  } catch (error) {
    journal.close();
    throw error;
  }
  const results = Array.from({ length: total }, (_, index) => {
    if (journal.entries.has(index)) return journal.entries.get(index)!;
    throw new UserError({
      kind: "internal",
      what: `Item ${index} of ${total} was not computed`,
      where: title,
      fix: "report this with the command that led to it",
    });
  });
  await journal.finish();
  return results;
}
