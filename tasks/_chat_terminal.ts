import { suggestion, UserError } from "../core/mod.ts";
import { calibratorText } from "./_calibrator_text.ts";
import { type Chat, type Judge, type Reply, UNTUNED } from "./_chat.ts";
import { harmless, print, write } from "./_io.ts";
import { LineEditor } from "./_line_editor.ts";

/** What a terminal needs besides the chat. */
export interface TerminalOptions {
  readonly coloured: boolean;
  /** The adapter of a name, to be asked for its confidence. */
  findJudge(name: string): Promise<Judge>;
  /** Ends the program as Ctrl-C does. */
  leave(): void;
}

/** What a line does that begins with a slash. */
interface Command {
  /** What follows its name. */
  readonly argument?: string;
  readonly help: string;
  /** Gives what is to be said; undefined ends the chat. */
  run(argument: string, chat: Chat, options: TerminalOptions): string | undefined | Promise<string>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  "/temp": {
    argument: "<t>",
    help: "sampling temperature; 0 takes the most probable token",
    run(argument, chat) {
      const temperature = argument === "" ? chat.temperature : Number(argument);
      if (!(temperature >= 0 && temperature < Infinity)) {
        return `The temperature cannot be "${argument}": give a number from 0, as in /temp 0.7`;
      }
      chat.temperature = temperature;
      return `The sampling temperature is ${temperature}.`;
    },
  },
  "/adapter": {
    argument: "<folder>|off",
    help: "adapter that is asked for its confidence, also hf:owner/name",
    async run(argument, chat, { findJudge }) {
      if (argument !== "") await chat.useJudge(argument === "off" ? UNTUNED : await findJudge(argument));
      return judgeText(chat.judge);
    },
  },
  "/clear": {
    help: "forget the conversation",
    run(_, chat) {
      chat.clear();
      return chat.remembers ? "Forgotten." : "There is nothing to forget: each question stands by itself.";
    },
  },
  "/help": { help: "show this", run: (_, chat) => helpText(chat) },
  "/quit": { help: "leave, as Ctrl-D does", run: () => undefined },
};

/** A conversation in the terminal, until the user leaves. Gives the number of questions. */
export async function chatInTerminal(chat: Chat, options: TerminalOptions): Promise<{ questions: number }> {
  print(`${judgeText(chat.judge)} /help lists commands.`);
  using editor = new LineEditor("> ", Object.keys(COMMANDS), options.leave);
  for (let questions = 0;;) {
    const line = await editor.next();
    if (line === undefined) return { questions };
    if (line.trim() === "") continue;
    try {
      if (line.startsWith("/")) {
        const text = await obey(line.trim(), chat, options);
        if (text === undefined) return { questions };
        print(text);
      } else {
        questions++;
        await answer(line.trim(), chat, options, editor.signal);
      }
    } catch (error) {
      if (!(error instanceof UserError) || error.exitCode === 1) throw error;
      print(error.message);
    }
  }
}

async function answer(
  question: string,
  chat: Chat,
  { coloured }: TerminalOptions,
  signal: AbortSignal,
): Promise<void> {
  let shown = "";
  const grow = (text: string) => {
    if (!text.startsWith(shown)) return;
    write(Deno.stdout, harmless(text.slice(shown.length)));
    shown = text;
  };
  let reply: Reply;
  try {
    reply = await chat.ask(question, grow, signal);
    grow(reply.answer);
  } finally {
    if (shown !== "") print("");
  }
  // A clean-up has taken back what it gave.
  if (reply.answer !== shown) print(reply.answer);
  else if (shown === "") print("(no answer)");
  write(Deno.stdout, `${verdict(reply, chat.judge, coloured)}\n`);
}

/** What stands below an answer. */
export function verdict({ pCorrect, tokens, cut }: Reply, judge: Judge, coloured: boolean): string {
  if (pCorrect === undefined) return "(stopped)";
  if (pCorrect === null) return "(the method gives no confidence)";
  const untuned = judge === UNTUNED ? ", says the untuned model" : "";
  return `${confidenceText(pCorrect, coloured)}${untuned}${cut ? ` (cut after ${tokens} tokens)` : ""}`;
}

/** A confidence in words: red below 40 %, yellow below 70 %, else green, where colours are wanted. */
export function confidenceText(pCorrect: number, coloured: boolean): string {
  const text = `${Math.round(100 * pCorrect)} % sure`;
  const code = pCorrect >= 0.7 ? 32 : pCorrect >= 0.4 ? 33 : 31;
  return coloured ? `\x1b[${code}m${text}\x1b[0m` : text;
}

/** Says whose confidence is shown. */
export function judgeText({ name, calibrator, unfitted }: Judge): string {
  const scaled = calibrator !== undefined
    ? `, at ${calibratorText(calibrator)}`
    : unfitted
    ? ", for which no calibrator was fitted"
    : "";
  return `Confidence is that of ${name}${scaled}.`;
}

/** Does what a line says; gives what is to be said, or nothing to leave. */
async function obey(line: string, chat: Chat, options: TerminalOptions): Promise<string | undefined> {
  const [, name, argument] = /^(\S+)\s*(.*)$/.exec(line)!;
  if (Object.hasOwn(COMMANDS, name)) return await COMMANDS[name].run(argument, chat, options);
  return `Unknown command "${name}": ${suggestion(name, Object.keys(COMMANDS))}`;
}

function helpText({ remembers }: Chat): string {
  const rows = Object.entries(COMMANDS).map(([name, { argument = "", help }]) =>
    `${`${name} ${argument}`.padEnd(24)}${help}`
  );
  const memory = remembers
    ? "The model sees the conversation; its confidence is in the last question and answer alone."
    : "This model has no chat template, so each question stands by itself.";
  return [...rows, "Ctrl-C stops an answer; where there is none, it leaves.", memory].join("\n");
}
