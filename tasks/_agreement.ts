import {
  createRng,
  type Estimate,
  type Json,
  krippendorffAlpha,
  type Undefined,
  type Verdict,
} from "../core/mod.ts";
import { cell } from "./_table.ts";

/** How far the labelers agree that have labelled the same answers together. */
export interface Agreement {
  /** Number of labelers. */
  readonly labelers: number;
  readonly answers: number;
  /** Answers on which all of them decided, and the same. */
  readonly unanimous: number;
  /** Answers that together they left undecided. */
  readonly undecided: number;
  /** Krippendorff's, nominal; an undecided labeler counts as missing. */
  readonly alpha: Estimate | Undefined;
}

/** Sums up the votes on a set of answers. */
export function agreementOf(
  verdicts: readonly (Required<Verdict> & { readonly group?: string })[],
  seed: number,
): Agreement {
  return {
    labelers: verdicts[0].votes.length,
    answers: verdicts.length,
    unanimous: verdicts.filter(({ votes }) => votes[0] !== null && new Set(votes).size === 1).length,
    undecided: verdicts.filter(({ label }) => label === null).length,
    alpha: krippendorffAlpha(verdicts, createRng(seed).split("bootstrap")),
  };
}

/** In words. */
export function agreementText({ labelers, answers, unanimous, undecided, alpha }: Agreement): string {
  const shown = "undefined" in alpha ? `undefined, ${alpha.undefined}` : cell(alpha);
  return `Krippendorff's alpha of ${labelers} labelers is ${shown}; they agree on ${unanimous} of ${answers} answers, ` +
    `${undecided} are undecided`;
}

/** For `run.json` and the like. */
export function agreementJson(agreement: Agreement): Json {
  return { ...agreement, alpha: { ...agreement.alpha } };
}

/** The agreement that `run.json` or `metrics.json` holds, if it does. */
export function readAgreement(value: unknown): Agreement | undefined {
  return typeof value === "object" && value !== null && "alpha" in value ? value as Agreement : undefined;
}
