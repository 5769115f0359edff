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
  /** What the work has cost so far, in a few words for the progress bar. */
  note?(): string;
}

/**
 * Computes all items and hands them, in order, to `use`, which writes the stage's files. What was computed survives a
 * kill and a failure of `use`, and is not computed again.
 */
export async function collect<T, R>(
  { journal: path, inputs, ...items }: Collection<T>,
  use: (results: readonly T[]) => Promise<R>,
): Promise<R> {
  const journal = await Journal.open<T>(path, canonical(inputs));
  let result: R;
  try {
    await computeMissing(journal, items);
    result = await use(Array.from({ length: items.total }, (_, index) => {
      if (journal.entries.has(index)) return journal.entries.get(index)!;
      throw new UserError({
        kind: "internal",
        what: `Item ${index} of ${items.total} was not computed`,
        where: items.title,
        fix: "report this with the command that led to it",
      });
    }));
  } catch (error) {
    journal.close();
    throw error;
  }
  await journal.finish();
  return result;
}

async function computeMissing<T>(
  journal: Journal<T>,
  { total, title, produce, note }: Omit<Collection<T>, "journal" | "inputs">,
): Promise<void> {
  const { entries } = journal;
  const todo = Array.from({ length: total }, (_, index) => index).filter((index) => !entries.has(index));
  using progress = new ProgressBar(title);
  progress.update(entries.size, total, entries.size > 0 ? "going on where it was" : "");
  for await (const { index, value } of produce(todo)) {
    journal.append(index, value);
    progress.update(entries.size, total, note?.());
  }
}
