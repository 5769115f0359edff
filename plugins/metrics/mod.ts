/**
 * The metrics that come with the project, in the order users see them.
 *
 * @module
 */
import type { Metric } from "../../core/mod.ts";
import { accuracy, uncAccuracy } from "./accuracy.ts";
import { auprcCorrect, auprcWrong } from "./auprc.ts";
import { aurc, eAurc, prr } from "./aurc.ts";
import { auroc } from "./auroc.ts";
import { brier, brierReliability, brierResolution, brierUncertainty } from "./brier.ts";
import {
  accuracyAtCoverage50,
  accuracyAtCoverage70,
  accuracyAtCoverage80,
  accuracyAtCoverage90,
  coverageAtAccuracy90,
  thresholdAtAccuracy90,
} from "./coverage.ts";
import { ace, ece, eceDebiased, eceL2, eceMass, eceMassL2, mce, mceMass } from "./ece.ts";
import { nll } from "./nll.ts";
import { seedEce } from "./seed_ece.ts";
import { smece } from "./smece.ts";

/** Every built-in metric. */
export const metrics: readonly Metric[] = [
  accuracy,
  ece,
  auroc,
  brier,
  nll,
  smece,
  aurc,
  uncAccuracy,
  eceL2,
  mce,
  eceMass,
  eceMassL2,
  mceMass,
  eceDebiased,
  ace,
  seedEce,
  brierReliability,
  brierResolution,
  brierUncertainty,
  auprcCorrect,
  auprcWrong,
  eAurc,
  prr,
  accuracyAtCoverage50,
  accuracyAtCoverage70,
  accuracyAtCoverage80,
  accuracyAtCoverage90,
  thresholdAtAccuracy90,
  coverageAtAccuracy90,
] as readonly Metric[];

/** Names of those that are computed when the user names none. */
export const defaultMetrics: readonly string[] = [
  "accuracy",
  "ece",
  "auroc",
  "brier",
  "nll",
  "smece",
  "aurc",
];
