/** What the methods have in common that ask the model as it is. */
import { join } from "node:path";
import { exists, UserError } from "../../core/mod.ts";

/** Refuses a checkpoint with an adapter or a classifier, which the method would leave unused without a word. */
export async function checkUntrained(method: string, checkpoint: string | undefined): Promise<void> {
  if (checkpoint === undefined) return;
  for (const name of ["adapter_config.json", "classifier_model.safetensors", "classifier_model.bin"]) {
    if (!await exists(join(checkpoint, name))) continue;
    const [is, wrote] = name.startsWith("adapter")
      ? ["an adapter", "lora-prompt"]
      : ["a classifier", "probe"];
    throw new UserError({
      kind: "usage",
      what: `Method "${method}" asks the untuned model, but the checkpoint holds ${is}`,
      where: checkpoint,
      fix: `leave --query-peft-dir out, or give the --method that wrote it, as in --method=${wrote}`,
    });
  }
}
