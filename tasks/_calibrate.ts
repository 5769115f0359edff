/** Fitting a calibrator to what a method says of validation rows. */
import { join } from "node:path";
import {
  type Calibrator,
  CALIBRATORS,
  dataError,
  differences,
  exists,
  fitCalibrator,
  type FittedCalibrator,
  type Json,
  type Labeled,
  type LanguageModel,
  type Method,
  type MethodContext,
  type Options,
  readJson,
  type ScoredRow,
  scoresOf,
  suggestion,
  TEMPERATURE_LIMITS,
  UserError,
  writeJsonAtomic,
} from "../core/mod.ts";
import { note } from "./_io.ts";

/** What a checkpoint that holds a calibrator alone says of what it was fitted to. */
const METHOD_FILE = "method_config.json";

/** Rows below which a calibrator follows chance more than the model. */
const FEW = 50;

/** The calibrator that `--calibrator` names. @throws {UserError} of kind `usage` for another, or where none is fitted */
export function chooseCalibrator(name: string | undefined, scale: boolean): Calibrator["kind"] {
  const usage = (what: string, fix: string) =>
    new UserError({ kind: "usage", what, where: "--calibrator", fix });
  if (name === undefined) return "temperature";
  const found = CALIBRATORS.find((kind) => kind === name);
  if (!found) throw usage(`Unknown calibrator "${name}"`, suggestion(name, CALIBRATORS));
  if (!scale) throw usage("No calibrator is fitted", "give --scale-temp as well");
  return found;
}

/**
 * Fits a calibrator to a method's confidences.
 *
 * @throws {UserError} of kind `data` where they do not allow it, saying why
 */
export async function fitOn(
  kind: Calibrator["kind"],
  method: Method,
  model: LanguageModel,
  rows: readonly Labeled[],
  context: MethodContext & { readonly checkpoint?: string },
): Promise<FittedCalibrator> {
  const decided = rows.filter(({ label }) => label !== null);
  const scored: ScoredRow[] = [];
  let row = 0;
  for await (const score of scoresOf(model, decided, method, context)) {
    const label = decided[row++].label as 0 | 1;
    if (score !== null) scored.push({ score, label });
  }
  // A temperature cannot move what is certain.
  const isMovable = ({ score }: ScoredRow) =>
    kind !== "temperature" || typeof score !== "number" || score % 1 !== 0;
  const labels = new Set(scored.map(({ label }) => label));
  // Logits of all options are scaled by which of them is right, whatever was answered.
  const isAboutOptions = ({ score }: ScoredRow) =>
    kind === "temperature" && typeof score === "object" && "logits" in score;
  const problem = scored.length === 0
    ? `None of ${decided.length} validation rows has a confidence`
    : !scored.some(isMovable)
    ? `All ${scored.length} confidences are 0 or 1, which no temperature changes`
    : labels.size < 2 && !scored.every(isAboutOptions)
    ? `All ${scored.length} validation rows are labelled ${[...labels][0]}`
    : undefined;
  if (problem !== undefined) {
    throw dataError(
      problem,
      `--calibrator=${kind}, method ${method.name}`,
      scored.length > 0 && labels.size === 2
        ? "use --calibrator=isotonic"
        : "use more validation rows, or another method",
    );
  }
  const fitted = fitCalibrator(kind, scored);
  if (scored.length < FEW) {
    note(
      `The calibrator is fitted to ${scored.length} validation rows: it takes a hundred or more to be relied on.`,
    );
  }
  warn(fitted);
  return fitted;
}

/** Says what the user should know of a fit though nothing is wrong. */
function warn({ calibrator, bounded }: FittedCalibrator): void {
  if (calibrator.kind === "temperature" && !bounded) {
    const { lowest, highest } = TEMPERATURE_LIMITS, { temperature } = calibrator;
    note(
      `The validation rows favour ${
        temperature <= lowest ? "ever sharper" : "ever softer"
      } confidence: the ` +
        `temperature is at its limit, ${temperature} (${lowest} to ${highest}). More validation rows would settle it.`,
    );
  }
  if (calibrator.kind === "platt" && calibrator.slope < 0) {
    note(
      "On the validation rows, higher confidence means fewer right answers: the calibrator turns it round.",
    );
  }
}

/** What a calibrator of a method without training belongs to. */
export interface CalibratedMethod {
  readonly method: string;
  readonly options: Options;
  /** What the model was called, and what tells its weights from others. */
  readonly base_model_name_or_path: string;
  readonly base_model_fingerprint: string;
}

/** Writes what a calibrator belongs to, beside it; gives back the path of the file. */
export async function writeMethod(folder: string, calibrated: CalibratedMethod): Promise<string> {
  const path = join(folder, METHOD_FILE);
  await writeJsonAtomic(path, calibrated);
  return path;
}

/**
 * The method's options that a calibrator was fitted with; nothing where the checkpoint is not of a calibrator alone.
 *
 * @throws {UserError} of kind `usage` if it was fitted to another method
 */
export async function calibratedOptions(
  checkpoint: string,
  method: Method,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const path = join(checkpoint, METHOD_FILE);
  if (!await exists(path)) return undefined;
  const fitted = await readJson(path) as Partial<CalibratedMethod> | null;
  if (fitted?.method === method.name) return { ...fitted.options };
  throw new UserError({
    kind: "usage",
    what: `The calibrator was fitted to method "${fitted?.method}", but the method is "${method.name}"`,
    where: path,
    fix: `use --method=${fitted?.method}`,
  });
}

/** Refuses a calibrator that was fitted to another method, or to other options of it. */
export async function checkMethod(checkpoint: string, method: Method, options: Options): Promise<void> {
  const fitted = await calibratedOptions(checkpoint, method);
  if (fitted === undefined) return;
  const [first] = differences(fitted as Json, JSON.parse(JSON.stringify(options)) as Json);
  if (first === undefined) return;
  const { path: key, was, is } = first;
  throw new UserError({
    kind: "usage",
    what: `The calibrator was fitted where ${key} was ${JSON.stringify(was)}; now it is ${
      JSON.stringify(is)
    }`,
    where: join(checkpoint, METHOD_FILE),
    fix: "use the same options, or fit another calibrator",
  });
}
