/** `--scale-temp`: whose confidence is calibrated, and by what. */
import { type Calibrator, type Method, type Options, suggestion, UserError } from "../core/mod.ts";
import { loadCalibrator } from "../model/calibrator_file.ts";
import { checkMethod } from "./_calibrate.ts";
import type { Session } from "./_session.ts";

/** The method whose confidence `--scale-temp=logits` is; beside another one, it is of the options' logits. */
const LOGITS = "logits";

/** What `--scale-temp` may say, and the methods whose confidence that is; `query` is that of any. */
const SCALES: Readonly<Record<string, readonly string[] | undefined>> = {
  query: undefined,
  probe: ["probe", "lora-probe"],
  logits: [LOGITS],
};

/**
 * Refuses a `--scale-temp` that names no confidence, that of another method, or one where nothing can be fitted.
 *
 * @param answerLogits whether the logits of the options are measured beside, which `logits` is about too
 */
export function checkScale(
  scale: string | undefined,
  method: string,
  hasCheckpoint: boolean,
  answerLogits = false,
): void {
  if (scale === undefined) return;
  const usage = (what: string, fix: string) =>
    new UserError({ kind: "usage", what, where: "--scale-temp", fix });
  if (!Object.hasOwn(SCALES, scale)) {
    throw usage(`Unknown temperature "${scale}"`, suggestion(scale, Object.keys(SCALES)));
  }
  const methods = scale === "logits" && answerLogits ? [LOGITS, "zero-shot"] : SCALES[scale];
  if (methods && !methods.includes(method)) {
    throw usage(
      `"${scale}" is the confidence of ${methods.join(" and ")}, but the method is ${method}`,
      `give --method=${
        methods.join(" or ")
      }, or use --scale-temp=query, which is the confidence of any method`,
    );
  }
  if (hasCheckpoint) return;
  throw usage(
    "There is no adapter whose temperature could be used",
    "give --query-peft-dir as well; for a method without training, what deno task calibration-tune " +
      `--method=${method} --scale-temp writes`,
  );
}

/** The flags that name a checkpoint and what of it is applied. */
interface ScaleFlags {
  readonly "query-peft-dir"?: string;
  readonly "scale-temp"?: string;
}

/** Whether the model is asked with an adapter: where `logits` is scaled, the folder is that of its own answers. */
export function asksAdapter({ "query-peft-dir": peft, "scale-temp": scale }: ScaleFlags): boolean {
  return peft !== undefined && scale !== "logits";
}

/**
 * What `--scale-temp` applies: a calibrator of the method's confidence, and a temperature of the options' logits.
 *
 * @throws {UserError} of kind `usage` for a calibrator that was fitted to something else, `data` if none was fitted
 */
export async function loadScale(
  session: Session,
  { "scale-temp": scale }: ScaleFlags,
  checkpoint: string | undefined,
  method: Method,
  options: Options,
): Promise<{ readonly calibrator?: Calibrator; readonly temperature?: number }> {
  if (checkpoint === undefined) return {};
  const ofOptions = scale === "logits" && method.name !== LOGITS;
  const { plugin: fitted } = ofOptions ? session.registry.get("method", LOGITS) : { plugin: method };
  await checkMethod(checkpoint, fitted, ofOptions ? { confidence: "choice" } : options);
  if (scale === undefined) return {};
  const calibrator = await loadCalibrator(checkpoint, scale === "logits");
  if (!ofOptions) return { calibrator };
  if (calibrator.kind === "temperature") return { calibrator, temperature: calibrator.temperature };
  throw new UserError({
    kind: "usage",
    what: `The logits of the options are scaled by a temperature, but the calibrator is ${calibrator.kind}`,
    where: checkpoint,
    fix: "give --method=logits, or fit a temperature: calibration-tune --method=logits --confidence=choice",
  });
}
