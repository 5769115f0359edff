/** Whoever answers the questions of a dataset: a model on this machine's GPU, or one behind an API. */
import {
  cacheFolder,
  type ChatUse,
  generateAnswers,
  type Generation,
  type GenerationOptions,
  type Json,
  type Prompt,
  type PromptStyle,
  resolveOptions,
  type TextModel,
  UserError,
  usesChat,
  writeAnswers,
} from "../core/mod.ts";
import type { WeightType } from "../model/weights.ts";
import { aboutRun } from "./_common.ts";
import { type FlagSet, type FlagValues, peekFlag } from "./_flags.ts";
import { note } from "./_io.ts";
import { decisiveOptions, optionFlags, optionsOf } from "./_options.ts";
import type { Session } from "./_session.ts";

/** A model that can be asked. */
export interface Answerer {
  /** What identifies it in `run.json`. */
  readonly about: Json;
  /** What its work needs besides, or costs, for `run.json`. */
  circumstances(): Promise<Readonly<Record<string, Json>>>;
  /** Whether questions are put into its chat template; one behind an API sees to that itself. */
  chats(use: ChatUse): Promise<boolean>;
  /** Loads what can be missing on this machine, so that it is said before progress is. */
  ready(): Promise<void>;
  /** Answers, as they are finished, with the index of their prompt. */
  answer(
    prompts: readonly Prompt[],
    style: PromptStyle,
    options: GenerationOptions & { readonly chat?: boolean },
  ): AsyncIterable<{ readonly index: number; readonly answer: Generation }>;
  /** What it has cost so far, in a few words. */
  note(): string;
  /** Gives back what it holds. */
  close(): Promise<void>;
}

/** The model of a name. Nothing of it is loaded or asked before the first answer. */
export async function chooseAnswerer(
  session: Session,
  name: string,
  dtype: WeightType,
  given: FlagValues,
): Promise<Answerer> {
  const remote = session.remoteModel(name);
  if (!remote) {
    return {
      about: await session.describeModel(name, dtype),
      circumstances: () => aboutRun(session),
      chats: async (use) => usesChat(await session.tokenizer(name), use),
      ready: async () => void await session.model(name, dtype),
      async *answer(prompts, style, options) {
        yield* generateAnswers(await session.model(name, dtype), prompts, style, options);
      },
      note: () => "",
      close: () => Promise.resolve(),
    };
  }
  if (dtype !== "auto") {
    throw new UserError({
      kind: "usage",
      what: `The weights of "${name}" are not this program's to choose`,
      where: "--dtype",
      fix: "leave the flag away",
    });
  }
  const { plugin, argument } = remote, settings = resolveOptions(plugin, optionsOf(plugin, given));
  const context = { argument, cacheDir: cacheFolder("replies"), warn: note };
  const revision = await plugin.revision?.(settings, context);
  let model: TextModel | undefined;
  return {
    about: {
      ...session.describe(plugin) as Readonly<Record<string, Json>>,
      argument,
      ...(revision !== undefined && { revision }),
      options: decisiveOptions(plugin, settings),
    },
    circumstances: () =>
      Promise.resolve({ command: session.command, deno: Deno.version.deno, ...model?.usage?.() }),
    chats: (use) => use === "off" ? Promise.reject(alwaysChats(name)) : Promise.resolve(false),
    ready: () => Promise.resolve(),
    async *answer(prompts, style, options) {
      if (prompts.length === 0) return;
      model ??= await plugin.open(settings, context);
      yield* writeAnswers(model, prompts, style, options);
    },
    note: () => model?.note?.() ?? "",
    close: async () => await model?.close?.(),
  };
}

function alwaysChats(name: string): UserError {
  return new UserError({
    kind: "usage",
    what: `The endpoint of "${name}" puts every question into a chat`,
    where: "--chat",
    fix: "leave the flag away",
  });
}

/** The flags of the model that a command line names, where it is one behind an API. */
export async function answererFlags(args: readonly string[], session: Session): Promise<FlagSet> {
  await session.loadPlugins(peekFlag(args, "plugin"));
  const name = peekFlag(args, "model-name").at(-1),
    remote = name === undefined ? undefined : session.remoteModel(name);
  return remote ? optionFlags(remote.plugin) : {};
}
