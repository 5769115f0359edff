/** The evaluations in a run folder, as `evaluate` wrote them. */
import { join } from "node:path";
import {
  type Calibrator,
  dataError,
  exists,
  type PredictionRow,
  readJson,
  readPredictions,
  type Split,
  suggestion,
  type Summary,
} from "../core/mod.ts";
import { type StoredCalibrator, storedCalibrator } from "./_calibrator_text.ts";

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
}

/** One dataset and split that a run was evaluated on. */
export interface StoredEvaluation {
  /** Dataset and split. */
  readonly title: string;
  readonly stored: StoredSummary;
  readonly predictions: readonly PredictionRow[];
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
    const siblings: string[] = [];
    for await (const { name, isDirectory } of readDirOrNothing(logDir)) {
      if (isDirectory) siblings.push(`${logDir}/${name}`);
    }
    const fix = siblings.length > 0 ? suggestion(logDir, siblings.sort()) : "run deno task evaluate first";
    throw dataError(`There is no evaluation in ${logDir}`, root, fix);
  }
  return folders.sort();
}

async function* readDirOrNothing(path: string): AsyncIterable<Deno.DirEntry> {
  if (await exists(path)) yield* Deno.readDir(path);
}
