import { dataError, UserError } from "../core/mod.ts";
import type { Chat } from "./_chat.ts";

/** No question is longer, whatever the model reads: what a line has beyond it is not kept. */
const MOST_CHARACTERS = 2 ** 20;

/** Numbers of lines that an error names. */
const NAMED = 5;

/**
 * One question a line in, one JSON object a line out, as it is answered. Each question is a conversation of its own.
 * One that cannot be answered gets an object that says why, and the rest go on.
 *
 * @throws {UserError} of kind `data`, at the end, if there was such a one
 */
export async function chatInPipe(
  chat: Chat,
  input: ReadableStream<Uint8Array<ArrayBuffer>>,
  write: (line: string) => void,
): Promise<{ questions: number }> {
  let questions = 0;
  const failed: number[] = [];
  for await (const { number, text, whole } of readLines(input, MOST_CHARACTERS)) {
    const question = text.trim();
    if (question === "") continue;
    questions++;
    try {
      if (!whole) throw tooManyCharacters(number);
      chat.clear();
      const { answer, pCorrect, tokens } = await chat.ask(question);
      write(JSON.stringify({ question, answer, pCorrect, tokens }));
    } catch (error) {
      if (!(error instanceof UserError) || error.kind !== "data") throw error;
      failed.push(number);
      write(JSON.stringify({ question: whole ? question : `${question.slice(0, 60)}…`, error: error.what }));
    }
  }
  if (failed.length === 0) return { questions };
  throw dataError(
    `${failed.length} of ${questions} questions could not be answered`,
    `standard input, line ${failed.slice(0, NAMED).join(", ")}${failed.length > NAMED ? ", …" : ""}`,
    'see the objects that have an "error"',
  );
}

function tooManyCharacters(line: number): UserError {
  return dataError(
    `The line has more than ${MOST_CHARACTERS} characters`,
    `standard input, line ${line}`,
    "give one question a line",
  );
}

/** A line of the input, numbered from 1. */
export interface Line {
  readonly number: number;
  /** Its beginning, if it is not whole. */
  readonly text: string;
  readonly whole: boolean;
}

/** Lines, of which no more than `most` characters are ever kept. */
export async function* readLines(
  input: ReadableStream<Uint8Array<ArrayBuffer>>,
  most: number,
): AsyncIterable<Line> {
  let number = 1, text = "", whole = true;
  const take = (part: string) => {
    whole &&= text.length + part.length <= most;
    text += part.slice(0, most - text.length);
  };
  for await (const chunk of input.pipeThrough(new TextDecoderStream())) {
    const [first, ...rest] = chunk.split("\n");
    take(first);
    for (const part of rest) {
      yield { number: number++, text, whole };
      [text, whole] = ["", true];
      take(part);
    }
  }
  yield { number, text, whole };
}
