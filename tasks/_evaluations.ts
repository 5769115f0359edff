/** The evaluations in a run folder, as `evaluate` wrote them. */
import { dirname, join } from "node:path";
import {
  type Calibrator,
  dataError,
  exists,
  type PredictionRow,
  readJson,
  readPredictions,
  type Split,
  type StageRecord,
  type Summary,
} from "../core/mod.ts";
import { type StoredCalibrator, storedCalibrator } from "./_calibrator_text.ts";
import { type Agreement, readAgreement } from "./_agreement.ts";

/** What `metrics.json` holds. */
export interface StoredSummary extends Summary {
  readonly dataset: string;
  readonly split: Split;
  readonly model: string;
  readonly adapter: string | null;
  readonly calibrator: Calibrator | null;
  readonly mode: string | null;
  /** Absent in evaluations of earlier versions. */
  readonly method?: string;
  readonly promptStyle: string;
  /** Where several labelers have labelled the answers together. */
  readonly agreement?: Agreement;
}

/** One dataset and split that a run was evaluated on. */
export interface StoredEvaluation {
  /** Dataset and split. */
  readonly title: string;
  readonly stored: StoredSummary;
  readonly predictions: readonly PredictionRow[];
}

/** The folder of labels that an evaluation was made on, where it was made on such. */
export function labelsFolder({ dataset }: StoredSummary): string | undefined {
  return /^offline:(.+)$/.exec(dataset)?.[1];
}

/** How far the labelers of an evaluation's answers agree, by its own file or by the run that made the labels. */
export async function agreementIn(stored: StoredSummary): Promise<Agreement | undefined> {
  const folder = labelsFolder(stored);
  if (stored.agreement || folder === undefined) return stored.agreement;
  const path = join(dirname(folder), "run.json");
  if (!await exists(path)) return undefined;
  const { stages = {} } = await readJson(path) as { stages?: Readonly<Record<string, Partial<StageRecord>>> };
  return readAgreement(stages[`labels/${stored.split}`]?.about?.agreement);
}

/**
 * The evaluations of a run, by folder.
 *
 * @throws {UserError} of kind `data` if there is none
 */
export async function readEvaluations(logDir: string): Promise<readonly StoredEvaluation[]> {
  const evaluations: StoredEvaluation[] = [];
  for (const folder of await evaluationFolders(logDir)) {
    // Files of earlier versions lack these three, and name a temperature.
    const earlier = { unscored: 0, groups: 0, correct: 0 };
    const file = await readJson(join(folder, "metrics.json")) as StoredSummary & StoredCalibrator;
    const stored = { ...earlier, ...file, calibrator: storedCalibrator(file) };
    const predictions = await readPredictions(join(folder, "predictions.csv"));
    evaluations.push({ title: `${stored.dataset} ${stored.split}`, stored, predictions });
  }
  return evaluations;
}

/** Folders `metrics/<dataset>/<split>` that hold an evaluation. */
async function evaluationFolders(logDir: string): Promise<string[]> {
  const root = join(logDir, "metrics");
  const folders: string[] = [];
  if (await exists(root)) {
    for await (const dataset of Deno.readDir(root)) {
      if (!dataset.isDirectory) continue;
      for await (const split of Deno.readDir(join(root, dataset.name))) {
        const folder = join(root, dataset.name, split.name);
        if (await exists(join(folder, "metrics.json"))) folders.push(folder);
      }
    }
  }
  if (folders.length === 0) {
    const inside: string[] = [];
    for await (const { name } of readDirOrNothing(logDir)) {
      const folder = join(logDir, name);
      if (await exists(join(folder, "metrics"))) inside.push(folder);
    }
    const fix = inside.length > 0
      ? `name one in it: ${inside.sort().join(", ")}`
      : "run deno task evaluate first";
    throw dataError(`There is no evaluation in ${logDir}`, root, fix);
  }
  return folders.sort();
}

async function* readDirOrNothing(path: string): AsyncIterable<Deno.DirEntry> {
  if (await exists(path) && (await Deno.stat(path)).isDirectory) yield* Deno.readDir(path);
}
