/** `deno task classifier-tune`: train a classifier on a model's hidden states to know which answers are right. */
import { calibrationTune, TUNE_FLAGS } from "./calibration_tune.ts";
import { calibratorText } from "./_calibrator_text.ts";
import { openRun } from "./_common.ts";
import { defineFlags, parseFlags, peekFlag } from "./_flags.ts";
import { print } from "./_io.ts";
import { optionFlags, optionsOf } from "./_options.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

const { method: _, ...SHARED_FLAGS } = TUNE_FLAGS;

/** Flags of the task; the options of its method come on top. */
export const CLASSIFIER_FLAGS = defineFlags({
  ...SHARED_FLAGS,
  "with-lora": { type: "boolean", help: "train an adapter along (LoRA+Probe)" },
});

/** The method that the flags mean, before the others are known, as its options are flags too. */
function chosenMethod(args: readonly string[], session: Session) {
  const lora = args.includes("--with-lora") || peekFlag(args, "with-lora").at(-1) === "true";
  return session.registry.get("method", lora ? "lora-probe" : "probe").plugin;
}

const task: Task = {
  command: "deno task classifier-tune",
  summary:
    "Train a classifier on hidden states to know which answers are right. They are computed once and kept: " +
    "training again takes seconds. Writes checkpoint-<step>/.",
  example:
    "deno task classifier-tune --dataset=offline:runs/mine/labels --model-name=facts --log-dir=runs/probe " +
    "--position=question --max-steps=300 --batch-size=32 --lr=1e-3 --scale-temp",
  flags: (args, session) =>
    Promise.resolve({ ...CLASSIFIER_FLAGS, ...optionFlags(chosenMethod(args, session)) }),
  async run(args, session) {
    const method = chosenMethod(args, session);
    const { values, extra } = parseFlags(this.command, CLASSIFIER_FLAGS, args, optionFlags(method));
    await session.loadPlugins(values.plugin);
    using run = await openRun(values["log-dir"]);
    const flags = { ...values, method: method.name };
    const result = await calibrationTune(session, flags, optionsOf(method, extra), run);
    print(
      `classifier in ${result.checkpoint}${
        result.calibrator ? `, ${calibratorText(result.calibrator)}` : ""
      }`,
    );
    return result;
  },
};

if (import.meta.main) await runTask(task);
