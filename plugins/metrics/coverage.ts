import { type Metric, type Tally, UserError } from "../../core/mod.ts";

/** Options of the accuracies at a coverage. */
export interface CoverageOptions {
  /** Share of the answers that are kept, in (0, 1]. */
  readonly coverage: number;
}

/** Options of the thresholds for an accuracy. */
export interface ThresholdOptions {
  /** Share of correct answers that is wanted among those kept, in (0, 1]. */
  readonly accuracy: number;
}

function checkShare(name: string, value: number, metric: string): void {
  if (value > 0 && value <= 1) return;
  throw new UserError({
    kind: "usage",
    what: `Option "${name}" is ${value}`,
    where: `options of metric "${metric}"`,
    fix: "give a share above 0 and at most 1",
  });
}

/**
 * Accuracy of the most confident share of the answers, rounded up to a whole number of them. Of answers with the same
 * confidence at the border, each is kept in part. Unitless, in [0, 1].
 */
function accuracyAtCoverage(percent: number): Metric<CoverageOptions> {
  const name = `accuracy-at-coverage-${percent}`;
  return {
    kind: "metric",
    name,
    version: 1,
    description: `Accuracy of the ${percent} % of answers with the highest P(correct)`,
    better: "higher",
    defaults: { coverage: percent / 100 },
    compute({ correct, wrong, n }, { coverage }) {
      checkShare("coverage", coverage, name);
      // A product such as 0.7 * 10 must not be rounded up because it is a hair above 7.
      const kept = Math.ceil(coverage * n - 1e-9);
      let left = kept, right = 0;
      for (let i = correct.length - 1; left > 0; i--) {
        const tied = correct[i] + wrong[i], taken = Math.min(left, tied);
        right += correct[i] * taken / tied;
        left -= taken;
      }
      return right / kept;
    },
  };
}

/** Accuracy of the most confident half of the answers. */
export const accuracyAtCoverage50: Metric<CoverageOptions> = accuracyAtCoverage(50);
/** Accuracy of the most confident 70 % of the answers. */
export const accuracyAtCoverage70: Metric<CoverageOptions> = accuracyAtCoverage(70);
/** Accuracy of the most confident 80 % of the answers. */
export const accuracyAtCoverage80: Metric<CoverageOptions> = accuracyAtCoverage(80);
/** Accuracy of the most confident 90 % of the answers. */
export const accuracyAtCoverage90: Metric<CoverageOptions> = accuracyAtCoverage(90);

/** The lowest P(correct) at and above which answers are as accurate as wanted, and how many those are. */
function lowestThreshold({ pCorrect, correct, wrong, n }: Tally, wanted: number) {
  let kept = 0, right = 0, found: { threshold: number; coverage: number } | undefined;
  for (let i = pCorrect.length - 1; i >= 0; i--) {
    kept += correct[i] + wrong[i];
    right += correct[i];
    if (right / kept >= wanted) found = { threshold: pCorrect[i], coverage: kept / n };
  }
  if (found === undefined) {
    throw new RangeError(`No threshold of P(correct) gives an accuracy of ${wanted}`);
  }
  return found;
}

/**
 * The lowest P(correct) at and above which 90 % of the answers are correct: what to set a refusal to. In [0, 1].
 * Undefined where there is none.
 */
export const thresholdAtAccuracy90: Metric<ThresholdOptions> = {
  kind: "metric",
  name: "threshold-at-accuracy-90",
  version: 1,
  description: "Lowest P(correct) at and above which 90 % of answers are correct",
  better: "lower",
  defaults: { accuracy: 0.9 },
  compute(tally, { accuracy }) {
    checkShare("accuracy", accuracy, "threshold-at-accuracy-90");
    return lowestThreshold(tally, accuracy).threshold;
  },
};

/** Share of the answers at and above that threshold. In (0, 1]; undefined where there is none. */
export const coverageAtAccuracy90: Metric<ThresholdOptions> = {
  kind: "metric",
  name: "coverage-at-accuracy-90",
  version: 1,
  description: "Largest share of answers, by P(correct), of which 90 % are correct",
  better: "higher",
  defaults: { accuracy: 0.9 },
  compute(tally, { accuracy }) {
    checkShare("accuracy", accuracy, "coverage-at-accuracy-90");
    return lowestThreshold(tally, accuracy).coverage;
  },
};
