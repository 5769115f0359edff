/** `deno task report`: the evaluations of some runs side by side, as one HTML file. */
import { join } from "node:path";
import {
  createRng,
  meansOver,
  renderReport,
  type ReportedRun,
  summarise,
  writeFileAtomic,
} from "../core/mod.ts";
import { calibratorText } from "./_calibrator_text.ts";
import { agreementText } from "./_agreement.ts";
import { agreementIn, readEvaluations } from "./_evaluations.ts";
import { defineFlags, parseFlags, type Values } from "./_flags.ts";
import { print } from "./_io.ts";
import { reportedAudit } from "./_reported_audit.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

/** Flags of the task. */
export const REPORT_FLAGS = defineFlags({
  "log-dir": {
    type: "string",
    help: "run folder with metrics/; repeatable, one column each",
    repeatable: true,
    required: true,
  },
  "audit": {
    type: "string",
    help: "audit.json of the labels (in the run folder, or beside the labels)",
  },
  "output": { type: "string", help: "file to write (report.html in a single run's folder, else here)" },
  "title": { type: "string", help: "heading of the report", default: "Calibration report" },
  "seed": { type: "number", help: "for intervals over several datasets", default: 137, least: 0 },
  "plugin": { type: "string", help: "module to load first; repeatable", repeatable: true },
});

/** Writes the report; gives back its path. */
export async function report(
  session: Session,
  flags: Values<typeof REPORT_FLAGS>,
): Promise<{ report: string }> {
  const runs: ReportedRun[] = [];
  for (const logDir of flags["log-dir"]) runs.push(await readRun(session, logDir, flags));
  const metrics = session.registry.list("metric").map(({ plugin }) => plugin);
  const [first, ...others] = flags["log-dir"];
  const path = flags.output ?? (others.length === 0 ? join(first, "report.html") : "report.html");
  await writeFileAtomic(path, await renderReport(flags.title, runs, metrics));
  return { report: path };
}

async function readRun(
  session: Session,
  logDir: string,
  { seed, audit: named }: Values<typeof REPORT_FLAGS>,
): Promise<ReportedRun> {
  const parts = await readEvaluations(logDir);
  const predictions = parts.flatMap((part) => part.predictions);
  const [{ stored }] = parts, agreement = parts.length === 1 ? await agreementIn(stored) : undefined;
  const about = {
    "run": logDir,
    "model": stored.model,
    "datasets": parts.length === 1 ? parts[0].title : `${parts.length} datasets`,
    "prompt style": stored.promptStyle,
    "method": stored.method ?? stored.mode ?? "",
    "adapter": stored.adapter ?? "none",
    "calibrator": stored.calibrator ? calibratorText(stored.calibrator) : "none",
    ...(agreement && { "labels": agreementText(agreement) }),
  };
  const title = logDir.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1)!;
  const found = await reportedAudit(session, named, logDir, parts, seed);
  const audit = found ? { audit: found } : {};
  if (parts.length === 1) return { title, summary: stored, predictions, ...audit, about };
  const metrics = Object.keys(stored.metrics).map((name) => session.registry.get("metric", name).plugin);
  const rng = createRng(seed).split("bootstrap");
  return {
    title,
    summary: summarise(predictions, metrics, rng),
    means: meansOver(parts.map(({ predictions }) => predictions), metrics, rng),
    predictions,
    ...audit,
    about,
    parts: parts.map(({ title, stored }) => ({ title, summary: stored })),
  };
}

const task: Task = {
  command: "deno task report",
  summary:
    "Show evaluations side by side: reliability diagrams, risk and coverage, tables. Writes one HTML file.",
  example: "deno task report --log-dir=runs/demo/before --log-dir=runs/demo/after --output=report.html",
  flags: REPORT_FLAGS,
  async run(args, session) {
    const { values } = parseFlags(this.command, REPORT_FLAGS, args);
    await session.loadPlugins(values.plugin);
    const result = await report(session, values);
    print(result.report);
    return result;
  },
};

if (import.meta.main) await runTask(task);
