/** The three parts of a dataset. Training reads the first two, evaluation the last. */
export type Split = "train" | "validation" | "test";

/** All splits, in the order they are generated. */
export const SPLITS: readonly Split[] = ["train", "validation", "test"];

/**
 * How one prompt style words a dataset's questions. `{question}`, `{passage}`, `{choice1}`, `{choice2}` … and the names
 * of the question's `texts` in braces stand for the question's own.
 */
export interface StyleWording {
  /** The question as the model reads it, e.g. `"Question: {question}"`. */
  readonly context?: string;
  /** What the answer follows, e.g. `"\nAnswer:"`. */
  readonly targetPrompt?: string;
  /** First line above the worked examples of a few-shot prompt. */
  readonly header?: string;
  /** Last line between the worked examples and the question. */
  readonly tail?: string;
  /** What separates that line from the question; a blank line if absent. */
  readonly separator?: string;
  /** What stands in front of a question that has no worked examples; nothing if absent. */
  readonly instruction?: string;
  /** Whether an open-ended answer is the number of the right choice, counted from 1, instead of its text. */
  readonly numbered?: boolean;
}

/** What is special to a dataset, by the name of the prompt style. */
export type Wording = Readonly<Record<string, StyleWording>>;

/** What a dataset yields: a question and its answer, with no prompt text. */
export interface Question {
  /** Unique within the dataset, stable between runs. */
  readonly id: string;
  /** The part of the dataset it belongs to. */
  readonly split: Split;
  /** As asked, without passage, choices or instructions. */
  readonly question: string;
  /** Text the question is about, which a style shows in front of it. */
  readonly passage?: string;
  /** Further texts that the wording names. */
  readonly texts?: Readonly<Record<string, string>>;
  /** Options in the order they are shown. */
  readonly choices?: readonly string[];
  /** Index into `choices`, from 0, or the answer itself. */
  readonly answer: number | string;
  /** Questions that belong together, e.g. an MMLU subject. */
  readonly group?: string;
  /** The dataset's own words, where a style's do not fit. */
  readonly wording?: Wording;
  /** Where a question of a mixture comes from; absent elsewhere. */
  readonly home?: Home;
}

/** The place of a mixture's question in the dataset it was taken from: there it is rendered in the same way. */
export interface Home {
  /** Name of the dataset, by which its worked examples are asked for. */
  readonly dataset: string;
  /** Number of the question in its split, from 0, which draws them. */
  readonly row: number;
}

/** A question as a model reads it. The four texts are the seed's CSV columns. */
export interface Prompt {
  /** The question's; for a row read from a file, a hash of its texts. */
  readonly id: string;
  /** The question's, so that training cannot see test rows unnoticed. */
  readonly split: Split;
  /** The question's. */
  readonly group?: string;
  /** Worked examples in front of the question; empty without. */
  readonly prompt: string;
  /** The question with its choices. */
  readonly context: string;
  /** What the answer follows, e.g. `"\nAnswer:"`; no trailing space. */
  readonly targetPrompt: string;
  /** The right answer. */
  readonly target: string;
}

/** A prompt with the model's answer, after clean-up. */
export interface Generation extends Prompt {
  /** May be empty: a model can stop at once. */
  readonly output: string;
}

/** 1 correct, 0 wrong, null undecided. */
export type Label = 0 | 1 | null;

/** An answer with the verdict of a labeler. */
export interface Labeled extends Generation {
  /** Of the output, not of the question. */
  readonly label: Label;
}

/** A labelled answer with the method's confidence in it. */
export interface Prediction extends Labeled {
  /** Scores of "wrong" and "correct" before any temperature; null where the method gave none. */
  readonly logits: readonly [number, number] | null;
  /** Probability that the answer is correct, in [0, 1]; null where the method has none to give. */
  readonly pCorrect: number | null;
}

/** A row that a dataset read from an earlier stage's files: a prompt, perhaps already answered and labelled. */
export interface StoredRow extends Prompt {
  /** Absent before the model has answered. */
  readonly output?: string;
  /** Absent before a labeler has seen the row. */
  readonly label?: Label;
  /** Scores of "wrong" and "correct" that were stored with the row, where there are any. */
  readonly logits?: readonly [wrong: number, correct: number];
}

/** Whether two questions are one, whatever they are called: the same texts and choices, in whatever order. */
export function isSameQuestion(one: Question, other: Question): boolean {
  return one.question === other.question && questionKey(one) === questionKey(other);
}

/** A text that questions share which are the same, whatever they are called and however their choices are ordered. */
export function questionKey({ question, passage = "", texts = {}, choices = [] }: Question): string {
  return JSON.stringify([question, passage, Object.entries(texts).sort(), choices.toSorted()]);
}

/** Whether a dataset's row is a prompt already. */
export function isStoredRow(row: Question | StoredRow): row is StoredRow {
  return "context" in row;
}

/** The text a model continues: few-shot examples, question, and what the answer follows; no trailing space. */
export function promptText({ prompt, context, targetPrompt }: Prompt): string {
  return `${prompt}${context}${targetPrompt}`.trim();
}

/** The prompt with an answer behind it. */
export function answeredText(prompt: Prompt, answer: string): string {
  return `${prompt.prompt}${prompt.context}${prompt.targetPrompt} ${answer}`.trim();
}
