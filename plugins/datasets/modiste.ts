import { join } from "node:path";
import {
  dataError,
  type Dataset,
  type DatasetRequest,
  hashFile,
  readJson,
  type StoredRow,
} from "../../core/mod.ts";
import { dataDirOf, taskOf } from "./tasks.ts";

/** The subjects of the user study. */
const TASKS = [
  "elementary_mathematics",
  "high_school_biology",
  "us_foreign_policy",
  "high_school_computer_science",
];

/**
 * Answers of a model to the questions of a user study (Bhatt et al. 2023), by subject of MMLU. The numbers by which the
 * study knows a row, `example_idx` and `orig_example_idx`, stand in its id.
 */
export const modisteMmlu: Dataset = {
  kind: "dataset",
  name: "modiste_mmlu",
  version: 1,
  description: "Answers that were shown in a user study of Modiste, from <data-dir>/modiste",
  argument: `subject: ${TASKS.join(", ")}`,
  defaults: {},
  tags: ["eval"],
  splits: ["test"],
  async *read(_, request) {
    const task = taskOf(request.argument, TASKS, "modiste_mmlu"), path = pathOf(request);
    const rows = (await readJson(path) as Readonly<Record<string, unknown>> | null)?.[task];
    if (!Array.isArray(rows)) {
      throw dataError(`There is no list called "${task}"`, path, "use the file of the study as it is");
    }
    yield* rows.map((row, index) => storedRow(row, task, `${path}, ${task}, row ${index + 1}`));
  },
  revision: async (request) => await hashFile(pathOf(request)),
};

/** All subjects of the user study. */
export const modisteMmluAll: Dataset = {
  kind: "dataset",
  name: "modiste_mmlu_all",
  version: 1,
  description: "Every subject of modiste_mmlu",
  defaults: {},
  tags: ["eval"],
  splits: ["test"],
  expand: () => Promise.resolve(TASKS.map((task) => `modiste_mmlu:${task}`)),
};

function pathOf(request: DatasetRequest): string {
  return join(dataDirOf(request, "modiste"), "mmlu_responses_w_conf.json");
}

function storedRow(row: unknown, task: string, where: string): StoredRow {
  const field = (name: string, isSound: (value: unknown) => boolean, wanted: string) => {
    const value = (row as Readonly<Record<string, unknown>> | null)?.[name];
    if (isSound(value)) return String(value);
    throw dataError(`"${name}" is ${JSON.stringify(value)}`, where, `it must be ${wanted}`);
  };
  const text = (name: string) => field(name, (value) => typeof value === "string", "a text");
  const number = (name: string) => field(name, Number.isInteger, "a whole number");
  return {
    id: `${task}/${number("example_idx")}/${number("orig_example_idx")}`,
    split: "test",
    group: task,
    prompt: "",
    context: text("prompt"),
    targetPrompt: "",
    target: text("label"),
    output: text("llm_answer"),
  };
}
