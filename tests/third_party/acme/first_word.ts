import {
  type Generation,
  type Label,
  type LanguageModel,
  type Method,
  type MethodContext,
  readJson,
  type TrainingContext,
  type TrainingRows,
  writeJsonAtomic,
} from "@credence/credence";

/** Options of {@linkcode firstWord}. */
export interface FirstWordOptions {
  /** Answers that are pretended to have been seen with each word, half of them correct. */
  readonly pseudoCount: number;
}

type Counts = Record<string, { correct: number; seen: number }>;

/** How often answers that begin with the same word were correct: a baseline that looks at nothing else. */
export const firstWord: Method<FirstWordOptions> = {
  kind: "method",
  name: "acme/first-word",
  version: 1,
  description: "How often answers that begin with the same word were correct",
  defaults: { pseudoCount: 2 },

  async train(_model: LanguageModel, { train }: TrainingRows, context: TrainingContext<FirstWordOptions>) {
    const counts: Counts = {};
    for (const { output, label } of train) count(counts, wordOf(output), label);
    context.log(1, { words: Object.keys(counts).length });
    const folder = `${context.folder}/checkpoint-1`;
    await writeJsonAtomic(`${folder}/counts.json`, counts);
    return folder;
  },

  async *predict(
    _model: LanguageModel,
    rows: readonly Generation[],
    { options, checkpoint }: MethodContext<FirstWordOptions> & { readonly checkpoint?: string },
  ) {
    const counts = checkpoint === undefined ? {} : await readJson(`${checkpoint}/counts.json`) as Counts;
    for (const { output } of rows) {
      const { correct, seen } = counts[wordOf(output)] ?? { correct: 0, seen: 0 };
      const p = (correct + options.pseudoCount / 2) / (seen + options.pseudoCount);
      yield [Math.log(1 - p), Math.log(p)] as const;
    }
  },
};

function wordOf(answer: string): string {
  return answer.split(" ")[0];
}

function count(counts: Counts, word: string, label: Label): void {
  if (label === null) return;
  const entry = counts[word] ??= { correct: 0, seen: 0 };
  entry.correct += label;
  entry.seen++;
}
