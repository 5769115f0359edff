import type { DatasetSpec } from "../spec.ts";

/** MultiRC (Khashabi et al. 2018), as SuperGLUE has it. */
export const multirc: DatasetSpec = {
  name: "multirc",
  description: "MultiRC: is this answer to a question about a paragraph right?",
  home: "https://huggingface.co/datasets/aps/super_glue",
  licence: "unknown",
  source: { repo: "aps/super_glue", config: "multirc" },
  splits: { train: "train", validation: "validation" },
  rows: { train: 27_243, validation: 4848 },
  shots: "train",
  fields: {
    passage: "paragraph",
    question: "question",
    texts: { answer: "answer" },
    choices: ["=No", "=Yes"],
    answer: { column: "label", form: "index" },
  },
  wording: {
    choice: {
      context: "Paragraph:\n{passage}\n\nQ: {question}\n\nA: {answer}",
      header: "The following are reading comprehensions (with multiple-choice answers).",
      tail: "Now, answer the following.",
    },
    oe: {
      context:
        "Read the following paragraph along with the question and answer. Then, respond with whether the " +
        'answer is correct. Respond with only "Yes" or "No" and no additional text.\nPassage: {passage}\n' +
        "Question: {question}\nAnswer: {answer}. Is the answer correct?",
      targetPrompt: "\nResponse:",
      header: "The following are reading comprehensions (with answers).",
      tail: "Now, answer the following.",
    },
  },
};
