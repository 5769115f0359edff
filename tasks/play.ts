/** `deno task play`: ask a model, and see how sure it is of each answer. */
import { createInterface, type Interface } from "node:readline/promises";
import process from "node:process";
import {
  type ChatMessage,
  createRng,
  type Generation,
  type LanguageModel,
  type Method,
  probabilityOf,
  type PromptStyle,
  resolveOptions,
  UserError,
} from "../core/mod.ts";
import { loadTemperature } from "../model/temperature_file.ts";
import { chooseDtype, chooseStyle, RUN_FLAGS } from "./_common.ts";
import { defineFlags, parseFlags } from "./_flags.ts";
import { note, print, write } from "./_io.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

const { "model-name": modelName, dtype, seed, plugin } = RUN_FLAGS;

/** Flags of `play`. */
export const PLAY_FLAGS = defineFlags({
  "model-name": modelName,
  dtype,
  "query-peft-dir": {
    type: "string",
    help: "adapter that is asked: folder or hf:owner/name (the untuned model)",
  },
  "scale-temp": { type: "string", help: "query: divide by the temperature that was fitted" },
  "prompt-style": {
    type: "string",
    help: "how a question is worded for a model without chat template",
    default: "oe",
  },
  "max-new-tokens": { type: "number", help: "tokens of an answer at most", default: 100, least: 1 },
  "temperature": { type: "number", help: "of sampling; 0 takes the most probable token", default: 0 },
  "top-p": { type: "number", help: "mass of the most probable tokens that are kept", default: 0.95 },
  seed,
  "method": { type: "string", help: "how the confidence is had", default: "lora-prompt" },
  plugin,
});

/** The research code's instruction for chat models. */
const SYSTEM =
  "You are an expert who responds with concise, correct answers. Directly state the answer without " +
  "phrases like 'the correct answer is'";

const HELP = `/temp <t>          sampling temperature, 0 for the most probable token
/adapter <folder>  ask another adapter for its confidence; off for the untuned model
/clear             forget the conversation
/quit              leave (as does Ctrl-D; Ctrl-C stops an answer)`;

/** An answer, and how sure the model is of it. */
export interface Answered {
  readonly question: string;
  readonly answer: string;
  /** Probability that the answer is correct, in [0, 1]. */
  readonly pCorrect: number;
  /** Tokens written. */
  readonly tokens: number;
}

/** Thrown to end an answer early. */
class Enough extends Error {}

/** A conversation with a model. */
export class Player {
  /** Of sampling. */
  temperature: number;
  readonly #session: Session;
  readonly #model: LanguageModel;
  readonly #style: PromptStyle;
  readonly #method: Method;
  readonly #options: { readonly maxNewTokens: number; readonly topP: number; readonly seed: number };
  readonly #turns: ChatMessage[] = [];
  #checkpoint?: string;
  #scale = 1;

  constructor(
    session: Session,
    model: LanguageModel,
    style: PromptStyle,
    method: Method,
    options: { maxNewTokens: number; topP: number; seed: number; temperature: number },
  ) {
    this.#session = session;
    this.#model = model;
    this.#style = style;
    this.#method = method;
    this.#options = options;
    this.temperature = options.temperature;
  }

  /** Whose confidence is shown. */
  get asked(): string {
    return this.#checkpoint ?? "the untuned model";
  }

  /** Asks another adapter from now on; its temperature counts if `scaled`. */
  async useAdapter(name: string | undefined, scaled: boolean): Promise<void> {
    const folder = name === undefined ? undefined : await this.#session.adapterFolder(name);
    const scale = scaled ? await loadTemperature(folder!) : 1;
    // Refused now, not at the first answer.
    if (folder !== undefined) (await this.#model.loadAdapter(folder)).free();
    this.#checkpoint = folder;
    this.#scale = scale;
  }

  /** Forgets the conversation. */
  clear(): void {
    this.#turns.length = 0;
  }

  /**
   * Answers a question.
   *
   * @param show told of each piece of text as it is written
   * @param stopped asked after each token whether the user has had enough
   */
  async ask(
    question: string,
    show: (text: string) => void,
    stopped: () => boolean = () => false,
  ): Promise<Answered> {
    const row = this.#style.render(
      { id: "question", split: "test", question, answer: "" },
      [],
      this.#style.defaults,
    );
    const { answer, tokens } = await this.#write(row, question, show, stopped);
    const scored: Generation = { ...row, output: answer };
    const context = {
      options: resolveOptions(this.#method, {}),
      rng: createRng(this.#options.seed).split("predict"),
      batchSize: 1,
      progress: { update: () => {} },
      checkpoint: this.#checkpoint,
    };
    let pCorrect = NaN;
    for await (const score of this.#method.predict(this.#model, [scored], context)) {
      pCorrect = probabilityOf(score, this.#scale) ?? NaN;
    }
    this.#turns.push({ role: "user", content: question }, { role: "assistant", content: answer });
    return { question, answer, pCorrect, tokens };
  }

  /** The conversation in the model's own template; nothing where it has none. */
  #chatPrompt(question: string): number[] | undefined {
    const { tokenizer } = this.#model;
    const turns: readonly ChatMessage[] = [...this.#turns, { role: "user", content: question }];
    try {
      return tokenizer.chat?.([{ role: "system", content: SYSTEM }, ...turns]);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      // Some templates, such as Mistral's, know no system turn: the first question carries the instruction.
      const [first, ...rest] = turns;
      return tokenizer.chat!([{ ...first, content: `${SYSTEM}\n\n${first.content}` }, ...rest]);
    }
  }

  async #write(
    row: Omit<Generation, "output">,
    question: string,
    show: (text: string) => void,
    stopped: () => boolean,
  ): Promise<{ answer: string; tokens: number }> {
    const { tokenizer } = this.#model, { maxNewTokens, topP, seed } = this.#options;
    const prompt = this.#chatPrompt(question) ??
      tokenizer.encode(`${row.prompt}${row.context}${row.targetPrompt}`.trim());
    const clean = (text: string) =>
      tokenizer.chat ? text.trim() : this.#style.cleanUp(text, this.#style.defaults);
    const written: number[] = [];
    let text = "", shown = "";
    const onToken = (_: number, token: number) => {
      written.push(token);
      // A character may be cut in the middle; the rest of it comes with the next token.
      text = tokenizer.decode(written).replace(/\ufffd+$/, "");
      const answer = clean(text);
      if (answer.startsWith(shown) && answer.length > shown.length) {
        show(answer.slice(shown.length));
        shown = answer;
      }
      // An answer in the prompt style is one line; what follows is the model asking itself more questions.
      const complete = !tokenizer.chat && /[^\s:][^\S\n]*\n/.test(text.trimStart());
      if (complete || stopped()) throw new Enough();
      return true;
    };
    const options = { maxNewTokens, batchSize: 1, temperature: this.temperature, topP, seed, onToken };
    try {
      for await (const { tokens } of this.#model.generate([prompt], options)) text = tokenizer.decode(tokens);
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
    }
    const answer = clean(text);
    if (answer.startsWith(shown)) show(answer.slice(shown.length));
    return { answer, tokens: written.length };
  }
}

/** A confidence as text, in green, yellow or red where colours are wanted. */
export function confidenceText(pCorrect: number, coloured: boolean): string {
  const text = `${Math.round(100 * pCorrect)} % sure`;
  const code = pCorrect >= 0.7 ? 32 : pCorrect >= 0.4 ? 33 : 31;
  return coloured ? `\x1b[${code}m${text}\x1b[0m` : text;
}

/** One question a line in, one JSON object a line out; a question that fails says why, and the rest go on. */
async function playPiped(
  player: Player,
  lines: AsyncIterable<string>,
): Promise<{ questions: number; failed: number }> {
  let questions = 0, failed = 0;
  for await (const line of lines) {
    const question = line.trim();
    if (question === "") continue;
    questions++;
    try {
      player.clear();
      print(JSON.stringify(await player.ask(question, () => {})));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      failed++;
      print(JSON.stringify({ question, error: error.what }));
    }
  }
  return { questions, failed };
}

async function playInTerminal(player: Player, lines: Interface): Promise<{ questions: number }> {
  note(`Confidence is that of ${player.asked}. /help lists commands.`);
  let questions = 0, stopped = false;
  lines.on("SIGINT", () => {
    stopped = true;
  });
  const left = new Promise<undefined>((resolve) => lines.once("close", () => resolve(undefined)));
  while (true) {
    const line = await Promise.race([question(lines), left]);
    if (line === undefined || line.trim() === "/quit") break;
    if (line.trim() === "") continue;
    stopped = false;
    try {
      if (line.trimStart().startsWith("/")) {
        note(await obey(player, line.trim()));
        continue;
      }
      questions++;
      const { pCorrect } = await player.ask(line.trim(), (text) => write(Deno.stdout, text), () => stopped);
      print(`\n${confidenceText(pCorrect, !Deno.noColor)}`);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      note(error.message);
    }
  }
  lines.close();
  return { questions };
}

/** The next line; Ctrl-C at the prompt leaves. */
async function question(lines: Interface): Promise<string | undefined> {
  const leave = new AbortController();
  const abort = () => leave.abort();
  lines.once("SIGINT", abort);
  try {
    return await lines.question("> ", { signal: leave.signal });
  } catch {
    return undefined;
  } finally {
    lines.off("SIGINT", abort);
  }
}

/** Does what a command says, and tells what was done. */
async function obey(player: Player, line: string): Promise<string> {
  const [, command, rest] = /^\/(\w*)\s*(.*)$/.exec(line) ?? [];
  switch (command) {
    case "temp": {
      const temperature = rest === "" ? NaN : Number(rest);
      if (!(temperature >= 0 && temperature < Infinity)) return "Give a temperature from 0, as in /temp 0.7";
      player.temperature = temperature;
      return `Temperature ${temperature}.`;
    }
    case "adapter":
      if (rest === "") return "Give a folder, hf:owner/name, or off";
      await player.useAdapter(rest === "off" ? undefined : rest, false);
      return `Confidence is that of ${player.asked}.`;
    case "clear":
      player.clear();
      return "Forgotten.";
    case "help":
      return HELP;
    default:
      return `Unknown command "${line}"\n${HELP}`;
  }
}

const task: Task = {
  command: "deno task play",
  summary:
    "Ask a model, and see how sure it is of each answer. Piped: one question a line in, one JSON object a line " +
    "out.",
  example:
    "deno task play --model-name=facts --query-peft-dir=runs/demo-oe/checkpoint-300 --scale-temp=query",
  flags: PLAY_FLAGS,
  async run(args, session) {
    const { values: flags } = parseFlags(this.command, PLAY_FLAGS, args);
    await session.loadPlugins(flags.plugin);
    const { "query-peft-dir": adapter, "scale-temp": scale } = flags;
    const usage = (what: string, where: string, fix: string) =>
      new UserError({ kind: "usage", what, where, fix });
    if (scale !== undefined && scale !== "query") {
      throw usage(`Unknown temperature "${scale}"`, "--scale-temp", "use query");
    }
    if (scale !== undefined && adapter === undefined) {
      throw usage(
        "There is no adapter whose temperature could be used",
        "--scale-temp",
        "give --query-peft-dir as well",
      );
    }
    if (!(flags.temperature >= 0)) {
      throw usage(`The temperature is ${flags.temperature}`, "--temperature", "use 0 or more");
    }
    if (!(flags["top-p"] > 0 && flags["top-p"] <= 1)) {
      throw usage(`The mass is ${flags["top-p"]}`, "--top-p", "use a number above 0, up to 1");
    }
    const style = chooseStyle(session, flags["prompt-style"]);
    const { plugin: method } = session.registry.get("method", flags.method);
    const model = await session.model(flags["model-name"], chooseDtype(flags.dtype));
    const player = new Player(session, model, style, method, {
      maxNewTokens: flags["max-new-tokens"],
      topP: flags["top-p"],
      seed: flags.seed,
      temperature: flags.temperature,
    });
    await player.useAdapter(adapter, scale !== undefined);
    const terminal = Deno.stdin.isTerminal();
    const lines = createInterface({
      input: process.stdin,
      ...(terminal && { output: process.stderr, terminal }),
    });
    return terminal ? await playInTerminal(player, lines) : await playPiped(player, lines);
  },
};

if (import.meta.main) await runTask(task);
