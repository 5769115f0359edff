/** What datasets of several tasks, such as MMLU's subjects, have in common: their names, and what stands for them all. */
import { join } from "node:path";
import { type Dataset, type DatasetRequest, suggestion, UserError } from "../../core/mod.ts";

/** A task by its name. @throws {UserError} of kind `usage`, naming the nearest, if there is none */
export function taskOf(task: string, tasks: readonly string[], dataset: string): string {
  if (tasks.includes(task)) return task;
  throw new UserError({
    kind: "usage",
    what: `${dataset} has no task "${task}"`,
    where: "--dataset",
    fix: suggestion(task, tasks),
  });
}

/** What stands before and behind the last colon of an argument such as `mine:anatomy`. */
export function twoParts(argument: string, dataset: string): readonly [string, string] {
  const colon = argument.lastIndexOf(":");
  if (colon > 0 && colon < argument.length - 1) return [argument.slice(0, colon), argument.slice(colon + 1)];
  throw new UserError({
    kind: "usage",
    what: `${dataset} needs a folder and a task, but got "${argument}"`,
    where: `--dataset=${dataset}:${argument}`,
    fix: `write it as ${dataset}:<folder>:<task>`,
  });
}

/** The folder of this name below `--data-dir`. @throws {UserError} of kind `usage` if there is none */
export function dataDirOf({ dataDir, argument }: DatasetRequest, name: string): string {
  if (dataDir !== undefined) return join(dataDir, name);
  throw new UserError({
    kind: "usage",
    what: `${name} is read from a folder of that name, but no --data-dir is given`,
    where: `--dataset=${name}:${argument}`,
    fix: `give --data-dir=<folder with ${name}/>`,
  });
}

/** `<name>_all:<folder>`: every task of a dataset `<name>:<folder>:<task>` that has rows in the folder. */
export function taskCollection(one: Dataset, tasks: readonly string[]): Dataset {
  const name = `${one.name}_all`;
  return {
    kind: "dataset",
    name,
    version: 1,
    description: `Every task of ${one.name} that lies in a folder`,
    argument: `the folder, as in ${name}:mine`,
    defaults: {},
    tags: one.tags,
    splits: one.splits,
    async expand(request) {
      const members: string[] = [];
      for (const task of tasks) {
        const argument = `${request.argument}:${task}`;
        if (await hasRows(one, { ...request, argument })) members.push(`${one.name}:${argument}`);
      }
      if (members.length > 0) return members;
      throw new UserError({
        kind: "data",
        what: `There is no task of ${one.name} in ${request.argument}`,
        where: `--dataset=${name}:${request.argument}`,
        fix: `put its rows below <data-dir>/${one.name}, a folder a task, as in ${tasks[0]}/test`,
      });
    },
  };
}

async function hasRows(one: Dataset, request: DatasetRequest): Promise<boolean> {
  try {
    return (await one.available!(request)).length > 0;
  } catch (error) {
    if (error instanceof UserError && error.kind === "data") return false;
    throw error;
  }
}
