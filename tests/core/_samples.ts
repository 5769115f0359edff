import type { Generation, Label, Labeled, Prediction, Question } from "../../core/records.ts";

/** A question of the test split. */
export function question(id: string, parts: Partial<Question> = {}): Question {
  return { id, split: "test", question: `What is ${id}?`, answer: `It is ${id}.`, ...parts };
}

/** An answered row of the test split. */
export function generation(id: string, parts: Partial<Generation> = {}): Generation {
  return {
    id,
    split: "test",
    prompt: "",
    context: `Question: What is ${id}?`,
    targetPrompt: "\nAnswer:",
    target: "right",
    output: "an answer",
    ...parts,
  };
}

/** An answered row with its label. */
export function labeled(id: string, label: Label, parts: Partial<Generation> = {}): Labeled {
  return { ...generation(id, parts), label };
}

/** A row with its confidence. */
export function prediction(
  id: string,
  label: Label,
  pCorrect: number,
  parts: Partial<Prediction> = {},
): Prediction {
  const logits = [0, Math.log(pCorrect / (1 - pCorrect))] as const;
  return { ...labeled(id, label), logits, pCorrect, ...parts };
}

/** Frozen at every depth, so that what changes it throws. */
export function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}
