/** Scores that an earlier evaluation stored, in the research code's files: nothing is left to ask of a model. */
import { basename, join } from "node:path";
import {
  dataError,
  type Dataset,
  type DatasetRequest,
  exists,
  hashFile,
  type Label,
  readTorchTensors,
  type Split,
  SPLITS,
  type StoredRow,
  type StoredTensor,
} from "../../core/mod.ts";
import { MMLU_TASKS } from "./mmlu.ts";
import { dataDirOf, taskCollection, taskOf, twoParts } from "./tasks.ts";

/** `offline_logits:<kind>`: logits at `<data-dir>/offline_logits/<kind>/<split>/`. */
export const offlineLogits: Dataset = storedLogits({
  name: "offline_logits",
  description: "Scores that an evaluation stored, from <data-dir>/offline_logits",
  argument: "folder of the scores, as in offline_logits:mine",
  tags: ["train", "eval"],
  place: (request) => ({ folder: join(dataDirOf(request, "offline_logits"), request.argument) }),
});

/** Scores of MMLU's subjects, asked about with the uncertainty query or for a verbal confidence, and all of them. */
export const mmluLogits: readonly Dataset[] = ["query", "ve"].flatMap((kind) => {
  const name = `mmlu_offline_${kind}_logits`;
  const one = storedLogits({
    name,
    description: `Scores of one subject of MMLU that an evaluation stored, from <data-dir>/${name}`,
    argument: `folder and subject, as in ${name}:mine:anatomy`,
    tags: ["eval"],
    place(request) {
      const [folder, task] = twoParts(request.argument, name);
      taskOf(task, MMLU_TASKS, name);
      return { folder: join(dataDirOf(request, name), folder, task), group: task };
    },
  });
  return [one, taskCollection(one, MMLU_TASKS)];
});

interface LogitsSpec extends Pick<Dataset, "name" | "description" | "argument" | "tags"> {
  /** Where the splits lie, and the group of their rows. */
  readonly place: (request: DatasetRequest) => { readonly folder: string; readonly group?: string };
}

function storedLogits({ name, description, argument, tags, place }: LogitsSpec): Dataset {
  const splitsOf = async (request: DatasetRequest) => {
    const { folder } = place(request);
    const there = await Promise.all(SPLITS.map((split) => exists(join(folder, split))));
    return SPLITS.filter((_, index) => there[index]);
  };
  return {
    kind: "dataset",
    name,
    version: 1,
    description,
    argument,
    defaults: {},
    tags,
    splits: SPLITS,
    available: splitsOf,
    async *read(split, request) {
      const { folder, group } = place(request);
      for (const path of await filesOf(join(folder, split))) yield* await readLogits(path, split, group);
    },
    async revision(request) {
      const { folder } = place(request), hashes: string[] = [];
      for (const split of await splitsOf(request)) {
        for (const path of await filesOf(join(folder, split))) {
          hashes.push(`${split}:${await hashFile(path)}`);
        }
      }
      return hashes.join(" ");
    },
  };
}

/** The file that holds all, `*.bin`; or the parts that each process wrote, `*.pt`. */
async function filesOf(folder: string): Promise<readonly string[]> {
  const names: string[] = [];
  if (await exists(folder)) {
    for await (const { name, isFile } of Deno.readDir(folder)) if (isFile) names.push(name);
  }
  const whole = names.filter((name) => name.endsWith(".bin"));
  const files = whole.length > 0 ? whole : names.filter((name) => name.endsWith(".pt")).sort();
  if (whole.length > 1) {
    throw dataError(
      `There are ${whole.length} files of scores: ${whole.sort().join(", ")}`,
      folder,
      "leave one .bin file there",
    );
  }
  if (files.length === 0) {
    throw dataError("There are no scores", folder, "put a file .bin there, or the parts of one as .pt");
  }
  return files.map((name) => join(folder, name));
}

async function readLogits(path: string, split: Split, group: string | undefined): Promise<StoredRow[]> {
  const tensors = await readTorchTensors(path);
  const tensor = (name: string): StoredTensor => {
    // Evaluations of several labelers keep one dictionary each.
    const found = [...tensors].filter(([key]) => key === name || key.endsWith(`/${name}`));
    if (found.length === 1) return found[0][1];
    const held = [...tensors.keys()].join(", ") || "nothing";
    throw dataError(
      `There are ${found.length} tensors called ${name}`,
      path,
      `there must be one; it holds ${held}`,
    );
  };
  const logits = tensor("q_logits"), labels = tensor("q_labels");
  const [rows, columns] = logits.shape;
  if (logits.shape.length !== 2 || columns !== 2 || labels.values.length !== rows) {
    throw dataError(
      `q_logits is [${logits.shape.join(", ")}] and q_labels [${labels.shape.join(", ")}]`,
      path,
      "they must be [N, 2], for wrong and correct, and [N]",
    );
  }
  const { values } = logits;
  return Array.from(labels.values, (label, row): StoredRow => {
    const where = `${path}, row ${row + 1}`;
    const pair = [values[2 * row], values[2 * row + 1]] as const;
    if (!pair.every(Number.isFinite)) {
      throw dataError(`The logits are ${pair.join(" and ")}`, where, "evaluate again");
    }
    return {
      id: `${split}/${basename(path)}/${row}`,
      split,
      ...(group === undefined ? {} : { group }),
      ...{ prompt: "", context: "", targetPrompt: "", target: "", output: "" },
      label: labelOf(label, where),
      logits: pair,
    };
  });
}

/** Undecided answers were stored as −1. */
function labelOf(label: number, where: string): Label {
  if (label === 0 || label === 1) return label;
  if (label === -1) return null;
  throw dataError(`The label is ${label}`, where, "it must be 1 correct, 0 wrong or -1 undecided");
}
