import { dirname, join } from "node:path";
import {
  correctMetrics,
  createRng,
  dataError,
  exists,
  labelerQuality,
  type PredictionRow,
  type ReportedAudit,
} from "../core/mod.ts";
import { readAudit, type StoredAudit } from "./_audit_file.ts";
import { labelsFolder, type StoredEvaluation } from "./_evaluations.ts";
import type { Session } from "./_session.ts";

/** Metrics that are corrected, besides the accuracy. */
const CORRECTED = ["ece", "auroc", "brier"];

/**
 * What an audit says of the one evaluation of a run that has the rows it is about: the audit that the user names, else the
 * one in the run folder, else the one beside the labels that were evaluated.
 */
export async function reportedAudit(
  session: Session,
  named: string | undefined,
  logDir: string,
  evaluations: readonly StoredEvaluation[],
  seed: number,
): Promise<ReportedAudit | undefined> {
  for (const { stored, predictions } of evaluations) {
    const folder = labelsFolder(stored);
    const paths = named !== undefined ? [named] : [logDir, ...(folder ? [dirname(folder)] : [])]
      .map((place) => join(place, "audit.json"));
    for (const path of paths) {
      const judgements = (await readAudit(path))?.[stored.split]?.judgements ?? {};
      if (predictions.some(({ id }) => Object.hasOwn(judgements, id))) {
        return correct(session, predictions, judgements, path, seed);
      }
    }
  }
  if (named === undefined) return undefined;
  throw dataError(
    await exists(named) ? `The audit is about other rows than those in ${logDir}` : "There is no audit",
    named,
    "name the audit.json of the labels that were evaluated",
  );
}

function correct(
  session: Session,
  predictions: readonly PredictionRow[],
  judgements: StoredAudit["judgements"],
  path: string,
  seed: number,
): ReportedAudit {
  const rows = predictions.map((row) => {
    if (!Object.hasOwn(judgements, row.id)) return row;
    const { labeler, human } = judgements[row.id];
    if (labeler === row.label) return { ...row, human };
    throw dataError(
      "The answers were labelled in another way when they were audited than when they were evaluated",
      `${path}, row ${row.id}`,
      "evaluate again, or audit these labels with deno task audit",
    );
  });
  const metrics = CORRECTED.map((name) => session.registry.get("metric", name).plugin);
  const rng = () => createRng(seed).split("bootstrap");
  return { quality: labelerQuality(rows, rng()), metrics: correctMetrics(rows, metrics, rng()) };
}
