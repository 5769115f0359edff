import { dataError } from "./files.ts";
import type { LanguageModel } from "./language_model.ts";

/** What a checkpoint says about the model that it was trained on. */
export interface BaseModel {
  /** As whoever trained it called the model. */
  readonly name?: string;
  /** {@linkcode LanguageModel.fingerprint} of it. */
  readonly fingerprint?: string;
}

/**
 * Refuses what was trained on the weights of another model; what does not say on which it was is let pass.
 *
 * @param what as in `adapter`
 * @param where its folder
 * @throws {UserError} of kind `data`
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import { checkBaseModel } from "@credence/credence";
 *
 * const model = { name: "mine", fingerprint: "1f" };
 * checkBaseModel(model, { name: "mine", fingerprint: "1f" }, "classifier", "runs/mine/checkpoint-300");
 * checkBaseModel(model, { name: "theirs" }, "classifier", "runs/theirs/checkpoint-300");
 * assertThrows(() => checkBaseModel(model, { fingerprint: "2e" }, "classifier", "runs/theirs/checkpoint-300"));
 * ```
 */
export function checkBaseModel(
  { name, fingerprint }: Pick<LanguageModel, "name" | "fingerprint">,
  base: BaseModel,
  what: string,
  where: string,
): void {
  if (base.fingerprint === undefined || fingerprint === undefined || base.fingerprint === fingerprint) return;
  // The same name may stand for other weights by now, as of another revision.
  const isNamed = base.name !== undefined && base.name !== name;
  throw dataError(
    `The ${what} was trained on ${isNamed ? `${base.name}, not on` : "other weights than those of"} ${name}`,
    where,
    "use the model that it was trained on, or train another one on this model",
  );
}
