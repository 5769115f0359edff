/** `deno task audit`: how often the labeler is right, by the word of a human on a sample of its labels. */
import { dirname, join } from "node:path";
import {
  auditSample,
  createRng,
  dataError,
  exists,
  isLabeled,
  type Label,
  type Labeled,
  type LabelerQuality,
  labelerQuality,
  RunFolder,
  type Split,
  UserError,
} from "../core/mod.ts";
import { labelsHash, readAudit, type StoredAudit, writeAudit } from "./_audit_file.ts";
import { type AskedRow, readSheet, writeSheet } from "./_audit_sheet.ts";
import { qualityText } from "./_audit_table.ts";
import { askHuman } from "./_audit_talk.ts";
import { readLines } from "./_chat_pipe.ts";
import { chooseDataset, chooseSplits } from "./_common.ts";
import { defineFlags, parseFlags, splitPositionals, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { LineEditor } from "./_line_editor.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

/** Rows that a human judges when no number is named. */
const ROWS = 200;

/** A line of the input is cut here: an answer has no more than a word. */
const LINE = 1000;

/** Flags of the task. */
export const AUDIT_FLAGS = defineFlags({
  "split": { type: "string", help: "train, validation or test", default: "test" },
  "rows": { type: "number", help: `rows to judge (those asked for before, or ${ROWS})`, least: 1 },
  "csv": { type: "string", help: "file to write, to be filled in instead of asking here" },
  "read": { type: "string", help: "file of --csv, filled in, to take back" },
  "log-dir": { type: "string", help: "where audit.json goes (the run folder of the labels)" },
  "seed": { type: "number", help: "the same seed draws the same rows (137)", least: 0 },
});

/** Result of the task. */
export interface AuditResult {
  /** Path of `audit.json`. */
  readonly audit: string;
  readonly split: Split;
  /** Rows to judge, and judged so far. */
  readonly rows: number;
  readonly judged: number;
  /** Absent before the first answer. */
  readonly quality?: LabelerQuality;
}

/** Asks a human about a sample of labels, or writes or reads a sheet; keeps what follows in `audit.json`. */
export async function audit(
  session: Session,
  folder: string,
  flags: Values<typeof AUDIT_FLAGS>,
): Promise<AuditResult> {
  if (flags.csv !== undefined && flags.read !== undefined) {
    throw usage(
      "--csv and --read were both given",
      "--read",
      "write a sheet first, and read it once it is filled in",
    );
  }
  const { rows: labeled, split } = await readLabels(session, folder, flags.split);
  const logDir = flags["log-dir"] ?? await runFolderOf(folder);
  using run = await RunFolder.open(logDir);
  const path = run.file("audit.json"), hash = labelsHash(labeled);
  const found = (await readAudit(path))?.[split];
  // One that nobody has answered yet is begun anew.
  const before = Object.keys(found?.judgements ?? {}).length > 0 || found?.hash === hash ? found : undefined;
  checkSame(before, hash, flags, path);
  const seed = before?.seed ?? flags.seed ?? 137;
  const count = countOf(labeled.length, flags.rows, before?.rows, folder);
  const order = auditSample(labeled.map(({ label }) => label), count, createRng(seed).split("audit"));
  const asked = order.map((index) => labeled[index]).map((
    { id, context, target, output, label },
  ): AskedRow => ({
    id,
    question: context,
    target,
    answer: output,
    label,
  }));
  const said = new Map<string, Label>(
    Object.entries(before?.judgements ?? {}).map(([id, { human }]) => [id, human]),
  );
  const labels = new Map(labeled.map(({ id, label }) => [id, label]));
  const stored = (): StoredAudit => ({
    labels: folder,
    hash,
    labeler: run.record(`labels/${split}`)?.inputs.labeler ?? null,
    seed,
    rows: count,
    judgements: Object.fromEntries(
      [...said].map(([id, human]) => [id, { labeler: labels.get(id)!, human }]),
    ),
  });
  const save = () => writeAudit(path, split, stored());

  warnOfOneLabel(labeled, folder);
  await save();
  const open = asked.filter(({ id }) => !said.has(id));
  if (flags.csv !== undefined) {
    if (open.length === 0) throw usage(`All ${count} rows are judged`, "--csv", "ask for more with --rows");
    await writeSheet(flags.csv, hash, open);
    note(`${open.length} rows in ${flags.csv}: fill in the column human with y, n or u, then give --read.`);
  } else if (flags.read !== undefined) {
    const answers = await readSheet(flags.read, hash, new Set(asked.map(({ id }) => id)));
    let changed = 0;
    for (const [id, human] of answers) {
      if (said.has(id) && said.get(id) !== human) changed++;
      said.set(id, human);
    }
    note(
      `${answers.size} answers in ${flags.read}${
        changed > 0 ? `, ${changed} of them other than before` : ""
      }.`,
    );
    await save();
  } else await talk(session, asked, said, save);

  const result = { audit: path, split, rows: count, judged: said.size };
  if (said.size === 0) return result;
  const judged = labeled.map(({ id, label, group }) => ({
    label,
    ...(group === undefined ? {} : { group }),
    ...(said.has(id) ? { human: said.get(id)! } : {}),
  }));
  const quality = labelerQuality(judged, createRng(seed).split("bootstrap"));
  await writeAudit(path, split, { ...stored(), quality });
  return { ...result, quality };
}

/** Asks in the terminal, or takes an answer a line from a pipe. */
async function talk(
  session: Session,
  rows: readonly AskedRow[],
  said: Map<string, Label>,
  save: () => Promise<void>,
): Promise<void> {
  if (rows.every(({ id }) => said.has(id))) return;
  if (Deno.stdin.isTerminal() && Deno.stdout.isTerminal()) {
    using editor = new LineEditor("y/n/u> ", ["back", "quit"], () => {
      note(`Answers kept: ${said.size}. ${session.advice}`);
      session.interrupt(130);
    });
    return await askHuman({ rows, said, save, say: print, next: () => editor.next(), strict: false });
  }
  const lines = readLines(Deno.stdin.readable, LINE)[Symbol.asyncIterator]();
  const next = async (): Promise<string | undefined> => {
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      if (line.value.text.trim() !== "") return line.value.text;
    }
  };
  await askHuman({ rows, said, save, say: note, next, strict: true });
}

/** The labelled rows of a split. */
async function readLabels(
  session: Session,
  folder: string,
  name: string,
): Promise<{ rows: readonly Labeled[]; split: Split }> {
  const chosen = await chooseDataset(session, `offline:${folder}`, {});
  const splits = chooseSplits(name, chosen.dataset, "--split");
  if (splits.length !== 1) {
    throw usage(`${splits.length} splits were named`, "--split", "audit one after the other");
  }
  const [split] = splits, rows: Labeled[] = [];
  for await (const row of chosen.dataset.read!(split, chosen.request)) {
    if (!("context" in row) || !isLabeled(row)) {
      throw dataError(
        "A row has no label yet",
        `${join(folder, split)}, row ${rows.length + 1}`,
        "label the answers first: deno task generate labels",
      );
    }
    rows.push(row);
  }
  if (rows.length === 0) {
    throw dataError(
      `The ${split} split has no rows`,
      join(folder, split),
      "generate outputs and labels first",
    );
  }
  return { rows, split };
}

/** The run folder that made the labels. */
async function runFolderOf(folder: string): Promise<string> {
  const above = dirname(folder.replace(/[/\\]+$/, ""));
  if (await exists(join(above, "run.json"))) return above;
  throw usage(
    `${above} is not a run folder, so audit.json has no place`,
    folder,
    "say where it goes with --log-dir=<folder>",
  );
}

/** Refuses to go on with an audit of other labels, or another sample. */
function checkSame(
  before: StoredAudit | undefined,
  hash: string,
  { seed }: Values<typeof AUDIT_FLAGS>,
  path: string,
): void {
  if (before === undefined) return;
  if (before.hash !== hash) {
    throw dataError(
      `The audit of ${before.labels} was begun on other labels: their hash was ${
        before.hash.slice(0, 16)
      }, is ${hash.slice(0, 16)}`,
      path,
      "name the labels it was begun on, keep the new audit elsewhere with --log-dir, or move the file away",
    );
  }
  if (seed !== undefined && seed !== before.seed) {
    throw usage(
      `The audit was begun with seed ${before.seed}, not ${seed}`,
      "--seed",
      "leave the flag away to go on with it, or keep the new audit elsewhere with --log-dir",
    );
  }
}

/** Number of rows to judge: as asked, else as before, else as many as there are up to the usual number. */
function countOf(
  there: number,
  asked: number | undefined,
  before: number | undefined,
  folder: string,
): number {
  if (asked !== undefined && asked > there) {
    throw usage(
      `${asked} rows were asked for, but ${folder} has ${there}`,
      "--rows",
      `ask for at most ${there}`,
    );
  }
  if (asked !== undefined && before !== undefined && asked < before) {
    throw usage(
      `${asked} rows were asked for, but the audit was begun with ${before}`,
      "--rows",
      "leave the flag away, and stop with quit: what is judged by then counts",
    );
  }
  return asked ?? before ?? Math.min(ROWS, there);
}

function warnOfOneLabel(rows: readonly Labeled[], folder: string): void {
  const [{ label }] = rows;
  if (rows.some((row) => row.label !== label)) return;
  const word = label === null ? "left undecided" : label === 1 ? "labelled correct" : "labelled wrong";
  note(
    `All ${rows.length} rows of ${folder} are ${word}; what the labeler does with others cannot be measured.`,
  );
}

const usage = (what: string, where: string, fix: string) =>
  new UserError({ kind: "usage", what, where, fix });

const task: Task = {
  command: "deno task audit",
  summary:
    "Judge a sample of a labeler's decisions: how often it is right, and what that does to the accuracy. Asks in the " +
    "terminal, or through a CSV file. Writes audit.json, which deno task report reads.",
  example: "deno task audit runs/demo-oe/labels --rows=100",
  flags: AUDIT_FLAGS,
  async run(args, session) {
    const { positionals: [folder, ...further], rest } = splitPositionals(args, AUDIT_FLAGS);
    const { values } = parseFlags(this.command, AUDIT_FLAGS, [...rest, ...further]);
    if (folder === undefined) {
      throw usage(
        "No folder of labels was named",
        this.command,
        "name it, as in deno task audit runs/demo-oe/labels",
      );
    }
    const result = await audit(session, folder, values);
    if (result.quality) print(qualityText(result.quality));
    const left = result.rows - result.judged;
    print(
      `${result.judged} of ${result.rows} rows judged, in ${result.audit}` +
        (left > 0 && values.csv === undefined ? "; the same command goes on" : ""),
    );
    return result;
  },
};

if (import.meta.main) await runTask(task);
