/** `deno task play`: ask a model, and see how sure it is of each answer. */
import { type Method, resolveOptions, UserError } from "../core/mod.ts";
import { hasCalibrator, loadCalibrator } from "../model/calibrator_file.ts";
import { calibratedOptions } from "./_calibrate.ts";
import { Chat, type Judge } from "./_chat.ts";
import { chatInPipe } from "./_chat_pipe.ts";
import { chatInTerminal, judgeText } from "./_chat_terminal.ts";
import { checkCheckpoint } from "./_checkpoint.ts";
import { CHAT_FLAG, chooseChat, chooseDtype, chooseStyle, RUN_FLAGS } from "./_common.ts";
import { defineFlags, parseFlags, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { checkScale } from "./_scale.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

/** Flags of `play`. */
export const PLAY_FLAGS = defineFlags({
  "model-name": RUN_FLAGS["model-name"],
  "dtype": RUN_FLAGS["dtype"],
  "query-peft-dir": {
    type: "string",
    help: "adapter that is asked: folder or hf:owner/name (the untuned model)",
  },
  "scale-temp": { type: "string", help: "query, probe or logits: calibrated as fitted beside the adapter" },
  "prompt-style": { type: "string", help: "how questions are worded", default: "oe" },
  "max-new-tokens": {
    type: "number",
    help: "tokens of an answer at most (the style's own; a chat model's 100)",
    least: 1,
  },
  ...CHAT_FLAG,
  "temperature": { type: "number", help: "of sampling; 0 takes the most probable token", default: 0 },
  "top-p": { type: "number", help: "mass of the most probable tokens that are kept", default: 0.95 },
  "seed": RUN_FLAGS["seed"],
  "method": { type: "string", help: "how the confidence is had", default: "lora-prompt" },
  "plugin": RUN_FLAGS["plugin"],
});

async function play(session: Session, flags: Values<typeof PLAY_FLAGS>): Promise<{ questions: number }> {
  const { "query-peft-dir": adapter, "scale-temp": scale } = flags;
  const terminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  // In a terminal an adapter may be named later.
  checkScale(scale, flags.method, terminal || adapter !== undefined);
  checkSampling(flags);
  const style = chooseStyle(session, flags["prompt-style"]);
  const { plugin: method } = session.registry.get("method", flags.method);
  const model = await session.model(flags["model-name"], chooseDtype(flags.dtype));
  const chat = new Chat(model, style, method, {
    temperature: flags.temperature,
    topP: flags["top-p"],
    seed: flags.seed,
    maxNewTokens: flags["max-new-tokens"],
    chat: chooseChat(flags.chat),
  });
  const find = (name: string, ifFitted: boolean) =>
    findJudge(
      session,
      flags["model-name"],
      name,
      method,
      scale !== undefined && { ifFitted, ofAnswers: scale === "logits" },
    );
  if (adapter !== undefined) await chat.useJudge(await find(adapter, false));
  if (!terminal) {
    note(judgeText(chat.judge));
    return await chatInPipe(chat, Deno.stdin.readable, print);
  }
  return await chatInTerminal(chat, {
    coloured: !Deno.noColor && Deno.env.get("TERM") !== "dumb",
    findJudge: (name) => find(name, true),
    leave: () => session.interrupt(130),
  });
}

/** An adapter on this machine or on the Hub, with its calibrator if that is asked for. */
async function findJudge(
  session: Session,
  modelName: string,
  name: string,
  method: Method,
  scaled: false | { readonly ifFitted: boolean; readonly ofAnswers: boolean },
): Promise<Judge> {
  const checkpoint = await session.adapterFolder(name);
  await checkCheckpoint(session, modelName, checkpoint);
  // A calibrator is about the confidence that it was fitted to.
  const options = resolveOptions(method, await calibratedOptions(checkpoint, method) ?? {});
  if (!scaled) return { name, checkpoint, options };
  if (scaled.ifFitted && !scaled.ofAnswers && !await hasCalibrator(checkpoint)) {
    return { name, checkpoint, options, unfitted: true };
  }
  return { name, checkpoint, options, calibrator: await loadCalibrator(checkpoint, scaled.ofAnswers) };
}

function checkSampling({ temperature, "top-p": topP }: Values<typeof PLAY_FLAGS>): void {
  const usage = (what: string, where: string, fix: string) =>
    new UserError({ kind: "usage", what, where, fix });
  if (temperature < 0) throw usage(`The temperature is ${temperature}`, "--temperature", "use 0 or more");
  if (topP <= 0 || topP > 1) throw usage(`The mass is ${topP}`, "--top-p", "use a number above 0, up to 1");
}

const task: Task = {
  command: "deno task play",
  summary:
    "Ask a model, and see how sure it is of each answer. In a pipe: one question a line in, one JSON " +
    "object a line out.",
  example:
    "deno task play --model-name=facts --query-peft-dir=runs/demo-oe/checkpoint-300 --scale-temp=query",
  flags: PLAY_FLAGS,
  async run(args, session) {
    const { values } = parseFlags(this.command, PLAY_FLAGS, args);
    await session.loadPlugins(values.plugin);
    return await play(session, values);
  },
};

if (import.meta.main) await runTask(task);
