/** `deno task matrix`: a grid of trainings and evaluations, each part of which is done once. */
import { join } from "node:path";
import { UserError, writeFileAtomic, writeJsonAtomic } from "../core/mod.ts";
import { RUN_FLAGS } from "./_common.ts";
import { defineFlags, parseFlags, splitPositionals, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { type MatrixFile, readMatrixFile } from "./_matrix_file.ts";
import { checkPage, writePage } from "./_matrix_page.ts";
import { readPeer } from "./_matrix_peer.ts";
import { fingerprint, type MatrixPlan, needs, planMatrix, type Stage, stageState } from "./_matrix_plan.ts";
import { type CellResult, MatrixStages } from "./_matrix_stages.ts";
import {
  type GridResults,
  gridTables,
  type LabelHashes,
  markdownTables,
  type MatrixTable,
  peerTable,
  textTables,
} from "./_matrix_tables.ts";
import type { Session } from "./_session.ts";
import { table } from "./_table.ts";
import { runTask, type Task } from "./_task.ts";

/** Flags of the task. */
export const MATRIX_FLAGS = defineFlags({
  "log-dir": { type: "string", help: "folder of all its runs (runs/<name of the matrix>)" },
  "dry-run": { type: "boolean", help: "list the stages and what is done of them, and do nothing" },
  "write": {
    type: "string",
    help: "page.md, whose part between the marks is replaced, or file.json; repeatable",
    repeatable: true,
  },
  "data-dir": RUN_FLAGS["data-dir"],
  "plugin": RUN_FLAGS["plugin"],
});

/** Result of the task. */
export interface MatrixResult {
  readonly logDir: string;
  readonly results: readonly CellResult[];
  /** SHA-256 of the labelled answers by split, by their folder. */
  readonly labels: LabelHashes;
  /** Stages that could not be done, and why. */
  readonly failures: readonly { readonly stage: string; readonly what: string }[];
}

/** Does every stage that a matrix file asks for, and writes its tables. */
export async function matrix(
  session: Session,
  path: string,
  flags: Values<typeof MATRIX_FLAGS>,
): Promise<MatrixResult> {
  const file = await readMatrixFile(session, path);
  const logDir = flags["log-dir"] ?? join("runs", file.name);
  for (const page of flags.write) await checkPage(page, file.name);
  const peers = await Promise.all(file.peers.map(readPeer));
  const plan = await planMatrix(session, file, flags["data-dir"]);
  const stages = new MatrixStages(session, file, logDir, flags["data-dir"]);
  const failed = await runStages(plan.stages, stages);

  const grids: GridResults[] = [];
  for (const { title, cells } of plan.grids) {
    const found: GridResults["cells"][number][] = [];
    for (const { cell, stage, collection } of cells) {
      const dataset = collection ?? cell.evaluation.dataset;
      const shown = { ...cell, evaluation: { ...cell.evaluation, dataset } };
      found.push(
        failed.has(stage) ? { cell: shown } : { cell: shown, result: await stages.result(cell, stage) },
      );
    }
    grids.push({ title, cells: found });
  }
  const all = grids.flatMap(({ cells }) => cells.flatMap(({ result }) => result ? [result] : []));
  const results = [...new Map(all.map((result) => [JSON.stringify(result.cell), result])).values()];
  const labels: Record<string, Readonly<Record<string, string>>> = {};
  for (const stage of plan.stages) {
    if (stage.kind === "answers" && !failed.has(stage)) labels[stage.path] = await stages.labels(stage);
  }
  const tables = [
    ...grids.flatMap((grid) => gridTables(grid, file.metrics)),
    ...peers.map((peer) => peerTable(peer, results, labels)),
  ];
  const failures = [...failed].map(([{ path }, what]) => ({ stage: path, what }));
  const made = { logDir, results, labels, failures };
  await write(file, session.command, tables, made, flags.write);
  print(textTables(tables));
  if (failures.length > 0) throw someFailed(plan.stages.length, failures);
  return made;
}

/** Runs the stages in order; gives those that could not be done, with the reason. */
async function runStages(all: readonly Stage[], stages: MatrixStages): Promise<Map<Stage, string>> {
  const failed = new Map<Stage, string>();
  for (const [index, stage] of all.entries()) {
    note(`[${index + 1}/${all.length}] ${stage.path}`);
    const missing = needs(stage).find((needed) => failed.has(needed));
    if (missing) {
      failed.set(stage, `${missing.path} is missing`);
      note(`not run: ${missing.path} is missing`);
      continue;
    }
    try {
      await stages.run(stage);
    } catch (error) {
      // What is wrong with one cell's data says nothing about the others; anything else would be wrong there too.
      if (!(error instanceof UserError) || error.kind !== "data") throw error;
      failed.set(stage, error.what);
      note(error.message);
    }
  }
  return failed;
}

async function write(
  { name }: MatrixFile,
  command: string,
  tables: readonly MatrixTable[],
  result: MatrixResult,
  pages: readonly string[],
): Promise<void> {
  const markdown = markdownTables(tables);
  const json = { name, command, ...result };
  await writeFileAtomic(join(result.logDir, "tables.md"), `${markdown}\n`);
  await writeJsonAtomic(join(result.logDir, "tables.json"), json);
  for (const page of pages) {
    if (page.endsWith(".json")) await writeJsonAtomic(page, json);
    else await writePage(page, name, `Made by \`${command}\`.\n\n${markdown}`);
  }
}

function someFailed(count: number, failures: MatrixResult["failures"]): UserError {
  const [{ stage, what }] = failures;
  return new UserError({
    kind: "data",
    what: `${failures.length} of ${count} stages could not be done, the first because: ${what}`,
    where: stage,
    fix: "see the messages above; the tables hold all that could be done, and the same command tries again",
  });
}

/** The stages of a file and where they stand. */
async function listStages(
  session: Session,
  path: string,
  flags: Values<typeof MATRIX_FLAGS>,
): Promise<{ readonly logDir: string; readonly stages: readonly { stage: string; state: string }[] }> {
  const file = await readMatrixFile(session, path);
  const logDir = flags["log-dir"] ?? join("runs", file.name);
  const plan: MatrixPlan = await planMatrix(session, file, flags["data-dir"]);
  const stages: { stage: string; state: string }[] = [];
  for (const stage of plan.stages) {
    const state = await stageState(logDir, stage, fingerprint(session, file, stage));
    stages.push({ stage: stage.path, state });
  }
  return { logDir, stages };
}

const task: Task = {
  command: "deno task matrix",
  summary:
    "Train and evaluate every cell of a grid (method, model, dataset, styles, share of the data), sharing answers and " +
    "adapters, and write its tables.",
  example: "deno task matrix assets/facts/matrix.json --dry-run",
  flags: MATRIX_FLAGS,
  async run(args, session) {
    const { positionals: [path, ...further], rest } = splitPositionals(args, MATRIX_FLAGS);
    if (path === undefined) {
      throw new UserError({
        kind: "usage",
        what: "No matrix file was named",
        where: this.command,
        fix: "name it, as in deno task matrix assets/facts/matrix.json",
      });
    }
    const { values } = parseFlags(this.command, MATRIX_FLAGS, [...rest, ...further]);
    await session.loadPlugins(values.plugin);
    if (!values["dry-run"]) return await matrix(session, path, values);
    const listed = await listStages(session, path, values);
    const left = listed.stages.filter(({ state }) => state !== "done").length;
    print(table(["stage", "state"], listed.stages.map(({ stage, state }) => [stage, state])));
    print(`${listed.stages.length} stages in ${listed.logDir}, ${left} to do`);
    return listed;
  },
};

if (import.meta.main) await runTask(task);
