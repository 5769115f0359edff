import { type Dataset, type DatasetRequest, suggestion, UserError } from "../../core/mod.ts";
import { type DatasetSpec, questionDataset } from "./spec.ts";

/** All subjects of MMLU-Pro, in the order of the research code. */
export const MMLU_PRO_TASKS: readonly string[] = [
  "biology",
  "business",
  "chemistry",
  "computer_science",
  "economics",
  "engineering",
  "health",
  "history",
  "law",
  "math",
  "other",
  "philosophy",
  "physics",
  "psychology",
];

/** One subject of MMLU-Pro (Wang et al. 2024), up to ten choices: `mmlu_pro:<subject>`. For evaluation only. */
export const mmluPro: Dataset = {
  ...questionDataset(specOf("biology")),
  name: "mmlu_pro",
  description: "One subject of MMLU-Pro, up to ten choices; evaluation only",
  argument: "subject, as in mmlu_pro:law",
  async *read(split, request) {
    yield* subjectOf(request).read!(split, request);
  },
  shotPool: async (request) => await subjectOf(request).shotPool!(request),
  revision: async (request) => await subjectOf(request).revision!(request),
};

/** Every subject of MMLU-Pro. */
export const mmluProAll: Dataset = {
  kind: "dataset",
  name: "mmlu_pro_all",
  version: 1,
  description: "Every subject of MMLU-Pro",
  home: mmluPro.home,
  licence: mmluPro.licence,
  rows: { test: 12_032 },
  defaults: {},
  tags: ["eval"],
  splits: mmluPro.splits,
  expand: () => Promise.resolve(MMLU_PRO_TASKS.map((task) => `mmlu_pro:${task}`)),
};

function subjectOf({ argument: task }: DatasetRequest): Dataset {
  if (MMLU_PRO_TASKS.includes(task)) return questionDataset(specOf(task));
  throw new UserError({
    kind: "usage",
    what: `Unknown MMLU-Pro subject "${task}"`,
    where: `--dataset=mmlu_pro:${task}`,
    fix: suggestion(task, MMLU_PRO_TASKS),
  });
}

function specOf(task: string): DatasetSpec {
  const category = task.replaceAll("_", " ");
  const subject = category.charAt(0).toUpperCase() + category.slice(1);
  return {
    name: "mmlu_pro",
    description: `MMLU-Pro: ${category}`,
    home: "https://huggingface.co/datasets/TIGER-Lab/MMLU-Pro",
    licence: "MIT",
    source: { repo: "TIGER-Lab/MMLU-Pro" },
    splits: { test: "test" },
    shots: "validation",
    evalOnly: true,
    evalKshot: 5,
    fields: { question: "question", choices: "options", answer: { column: "answer_index", form: "index" } },
    keep: { column: "category", values: [category] },
    group: task,
    wording: {
      choice: { header: `The following are multiple-choice questions (with answers) about ${subject}.` },
      oe: { header: `The following are questions (with answers) about ${subject}.` },
    },
  };
}
