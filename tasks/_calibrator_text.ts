import type { Calibrator } from "../core/mod.ts";

/** What `metrics.json` says of how confidences were mapped; earlier ones name a temperature, 1 where there was none. */
export interface StoredCalibrator {
  readonly calibrator?: Calibrator | null;
  readonly temperature?: number;
}

/** The calibrator of an evaluation, or null. */
export function storedCalibrator({ calibrator, temperature = 1 }: StoredCalibrator): Calibrator | null {
  if (calibrator !== undefined) return calibrator;
  return temperature === 1 ? null : { kind: "temperature", temperature };
}

/** A calibrator in a few words. */
export function calibratorText(calibrator: Calibrator): string {
  const short = (value: number) => value.toPrecision(4);
  switch (calibrator.kind) {
    case "temperature":
      return `temperature ${calibrator.temperature.toFixed(3)}`;
    case "platt":
      return `platt, slope ${short(calibrator.slope)}, intercept ${short(calibrator.intercept)}`;
    case "beta":
      return `beta, a ${short(calibrator.a)}, b ${short(calibrator.b)}, c ${short(calibrator.c)}`;
    case "isotonic":
      return `isotonic, ${calibrator.confidences.length} points`;
  }
}
