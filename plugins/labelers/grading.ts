/** How a language model is asked to grade an answer: the research code's words, to the letter. */
import type { ChatMessage, Label, LabelRequest } from "../../core/mod.ts";

/** Raised when the words change; part of what identifies a reply. */
export const GRADING_VERSION = 1;

const SYSTEM = "You are an automated grading assistant helping a teacher grade student answers.";

function answerKey({ question, target, answer }: LabelRequest): string {
  return `The problem is: ${question}\n\n The correct answer for this problem is: ${target}\n ` +
    `A student submitted the answer: ${answer}\n ` +
    "The student's answer must be correct and specific but not overcomplete " +
    "(for example, if they provide two different answers, they did not get the question right). " +
    "However, small differences in formatting should not be penalized " +
    "(for example, 'New York City' is equivalent to 'NYC'). " +
    "Did the student provide an equivalent answer to the ground truth? " +
    "Please answer yes or no without any explanation: ";
}

function twoAnswers({ question, target, answer }: LabelRequest): string {
  return `The problem is: ${question}\n\nStudent A submitted the answer: ${target}\n ` +
    `Student B submitted the answer: ${answer}\n` +
    "Your task is to evaluate if these two answers are equivalent, " +
    "so the teacher can group matching answers together. " +
    "Small differences in formatting should not be a reason to mark the answers as different. " +
    "Did the two students provide equivalent answers? Please answer yes or no without any explanation: ";
}

/** The chat that asks whether an answer is right, or whether two answers are the same. */
export function gradingChat(request: LabelRequest): readonly [system: ChatMessage, user: ChatMessage] {
  const content = request.twoAnswers ? twoAnswers(request) : answerKey(request);
  return [{ role: "system", content: SYSTEM }, { role: "user", content }];
}

/** 1 for a reply that is "yes", 0 for one that is "no", in any case and punctuation; null for anything else. */
export function readVerdict(reply: string): Label {
  const word = reply.replace(/^[\s"'`*]+|[\s"'`*.!]+$/g, "").toLowerCase();
  return word === "yes" ? 1 : word === "no" ? 0 : null;
}

/** The same for a reply that had to be of {@linkcode VERDICT_FORMAT}. */
export function readStructuredVerdict(reply: string): Label {
  try {
    const value: unknown = JSON.parse(reply);
    const { answer, ...rest } = (typeof value === "object" && value !== null ? value : {}) as {
      answer?: unknown;
    };
    if (Object.keys(rest).length > 0) return null;
    return answer === "yes" ? 1 : answer === "no" ? 0 : null;
  } catch {
    return null;
  }
}

/** What a structured reply must be, as `response_format` says it. */
export const VERDICT_FORMAT = {
  type: "json_schema",
  json_schema: {
    name: "verdict",
    strict: true,
    schema: {
      type: "object",
      properties: { answer: { type: "string", enum: ["yes", "no"] } },
      required: ["answer"],
      additionalProperties: false,
    },
  },
} as const;
