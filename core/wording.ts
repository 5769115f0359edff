import { UserError } from "./errors.ts";
import type { Prompt, Question, StyleWording } from "./records.ts";

/** What stands around a question when neither dataset nor style says otherwise. */
const DEFAULTS: Required<Omit<StyleWording, "context">> = {
  targetPrompt: "\nAnswer:",
  header: "The following are questions (with answers).",
  tail: "Now, answer the next question.",
  separator: "\n\n",
  instruction: "",
  numbered: false,
};

/**
 * Puts a question into words, with worked examples in front: the layout that all prompt styles share.
 *
 * @param style the style's name, under which the dataset keeps its wording
 * @param fallback the style's own wording
 * @param finish adds what the style puts behind the question, and names the right answer
 */
export function renderPrompt(
  question: Question,
  shots: readonly Question[],
  style: string,
  fallback: StyleWording & { readonly context: string },
  finish: (question: Question) => { readonly suffix: string; readonly target: string },
): Prompt {
  const wording = { ...DEFAULTS, ...fallback, ...question.wording?.[style] };
  const one = (asked: Question) => {
    const { suffix, target } = finish(asked);
    const context = fill({ ...wording, ...asked.wording?.[style] }.context, asked) + suffix;
    return { context, targetPrompt: wording.targetPrompt, target };
  };
  const examples = shots.map((shot) => {
    const { context, targetPrompt, target } = one(shot);
    return `${context}${targetPrompt} ${target}`.trim() + "\n";
  });
  const prompt = examples.length > 0
    ? [`${wording.header}\n`, ...examples, `${wording.tail}${wording.separator}`].join("\n")
    : wording.instruction;
  const { id, split, group } = question;
  return { id, split, ...(group === undefined ? {} : { group }), prompt, ...one(question) };
}

/**
 * The open-ended right answer: its text, or its number where the wording of `style` says so.
 *
 * @throws {UserError} of kind `data` if the index names no choice
 */
export function answerText({ id, answer, choices, wording }: Question, style = "oe"): string {
  if (typeof answer === "string") return answer;
  const numbered = choices?.[answer] !== undefined && wording?.[style]?.numbered;
  const text = numbered ? String(answer + 1) : choices?.[answer];
  if (text === undefined) {
    throw new UserError({
      kind: "data",
      what: `The answer is number ${answer}, but there are ${choices?.length ?? 0} choices`,
      where: `question ${id}`,
      fix: "correct the dataset: answers count from 0",
    });
  }
  return text;
}

/**
 * Placeholders are filled in one pass, so that a question that holds `{passage}` stays as it is; so does what stands
 * in braces and names nothing.
 */
function fill(template: string, { question, passage = "", choices = [], texts = {} }: Question): string {
  return template.replace(/\{(\w+)\}/g, (braces, name: string) => {
    if (name === "question") return question;
    if (name === "passage") return passage;
    const number = /^choice([1-9]\d*)$/.exec(name)?.[1];
    return (number ? choices[Number(number) - 1] : Object.hasOwn(texts, name) ? texts[name] : undefined) ??
      braces;
  });
}
