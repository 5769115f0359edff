import type { DatasetSpec } from "../spec.ts";

/** GSM8K (Cobbe et al. 2021). For evaluation only; the target is the whole worked solution. */
export const gsm8k: DatasetSpec = {
  name: "gsm8k",
  description: "GSM8K: word problems of grade-school mathematics; evaluation only",
  home: "https://huggingface.co/datasets/openai/gsm8k",
  licence: "MIT",
  source: { repo: "openai/gsm8k", config: "main" },
  splits: { train: "train", test: "test" },
  rows: { train: 7473, test: 1319 },
  shots: "train",
  evalOnly: true,
  evalKshot: 8,
  // The longest solution has 1,070 characters.
  maxNewTokens: 400,
  styles: ["oe"],
  fields: { question: "question", answer: { column: "answer", form: "text" } },
  seed: { maxNewTokens: undefined },
  wording: {
    oe: {
      context: "Question: {question}",
      header: "The following are math questions (with answers).",
    },
  },
};
