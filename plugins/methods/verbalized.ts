/**
 * Confidence in words: the model is asked for the probability that its answer is correct. The prompts are those of
 * Tian et al. 2023, "Just Ask for Calibration" (arXiv 2305.14975), tables 6 and 7.
 */
import {
  type ChatMessage,
  checkOptions,
  encodeWithin,
  type Generation,
  type LanguageModel,
  type Method,
  type MethodContext,
  promptText,
} from "../../core/mod.ts";
import { checkUntrained } from "./untrained.ts";

/** How the model is asked: stages, and guesses of which the answer is the first. `vrbal` goes on from its own answer. */
export const VERBALIZED_STYLES = [
  "vrbal",
  "1s1g",
  "1s2g",
  "1s4g",
  "2s1CoT",
  "2s1g",
  "2s2g",
  "2s4g",
] as const;

/** One of {@linkcode VERBALIZED_STYLES}. */
export type VerbalizedStyle = typeof VERBALIZED_STYLES[number];

/** Options of {@linkcode verbalized}. */
export interface VerbalizedOptions {
  /** How the model is asked. */
  readonly style: VerbalizedStyle;
}

/** The probability that the model gives its answer in words. */
export const verbalized: Method<VerbalizedOptions> = {
  kind: "method",
  name: "verbalized",
  version: 1,
  description: "The probability that the model writes when asked how likely its answer is correct",
  defaults: { style: "2s1g" },
  help: { style: VERBALIZED_STYLES.join(", ") },
  check,
  async *predict(model, rows, context) {
    check(context.options);
    await checkUntrained(verbalized.name, context.checkpoint);
    const { options: { style }, progress } = context;
    const between = await writeBetween(model, rows, context);
    const dialogs = rows.map((row, index) => dialogOf(row, style, between[index]));
    let next = 0;
    const scores: (number | null)[] = [];
    const options = { tokens: PROBABILITY_TOKENS, lines: 1 };
    for await (const { index, text } of write(model, rows, dialogs, options, context)) {
      scores[index] = parseProbability(text);
      while (scores[next] !== undefined) {
        yield scores[next++];
        progress.update(next, rows.length);
      }
    }
  },
};

function check(options: VerbalizedOptions): void {
  checkOptions(verbalized, options, [
    ["style", VERBALIZED_STYLES.includes(options.style), `one of ${VERBALIZED_STYLES.join(", ")}`],
  ]);
}

/** Tokens of a probability, of a list of guesses and of an explanation at most. */
const PROBABILITY_TOKENS = 30, GUESS_TOKENS = 100, EXPLANATION_TOKENS = 100;

const GUESS = "as short as possible; not a complete sentence, just the guess!>";
const JUST = "is correct, without any extra commentary whatsoever; just the probability!>";
const ORDINALS = ["first", "second", "third", "fourth"];

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const guessLine = (n: number) => `G${n}: <${ORDINALS[n - 1]} most likely guess, ${GUESS}`;
const probabilityLine = (n: number) => `P${n}: <the probability between 0.0 and 1.0 that G${n} ${JUST}`;

const ONE_GUESS = `Guess: <most likely guess, ${GUESS}`;
const ONE_PROBABILITY = `Probability: <the probability between 0.0 and 1.0 that your guess ${JUST}`;
const SECOND_STAGE =
  "Provide the probability that your guess is correct. Give ONLY the probability, no other words " +
  `or explanation.\n\nFor example:\n\n${ONE_PROBABILITY}`;

/** Guesses that a style asks for. */
const guessesOf = (style: VerbalizedStyle) => Number(/(\d)g$/.exec(style)?.[1] ?? 1);

/** What is asked first. */
function firstStage(style: VerbalizedStyle, question: string): string {
  const count = guessesOf(style), all = numbers(count);
  const asked = `\n\nThe question is: ${question}`;
  if (style === "1s1g") {
    return "Provide your best guess and the probability that it is correct (0.0 to 1.0) for the following question. " +
      "Give ONLY the guess and probability, no other words or explanation. For example:\n\n" +
      `${ONE_GUESS}\nProbability: <the probability between 0.0 and 1.0 that your guess ${JUST}${asked}`;
  }
  if (style === "2s1CoT") {
    return "Provide your best guess for the following question. Before giving your answer, provide a step-by-step " +
      "explanation of your thought process. Then on a new line give the guess with no other words or explanation." +
      "\n\nFor example:\n\nExplanation: <one sentence step-by-step explanation of your thought process>" +
      `\n\n${ONE_GUESS}${asked}`;
  }
  if (style === "2s1g") {
    return "Provide your best guess for the following question. Give ONLY the guess, no other words or explanation." +
      `\n\nFor example:\n\n${ONE_GUESS}${asked}`;
  }
  if (style.startsWith("1s")) {
    return `Provide your ${count} best guesses and the probability that each is correct (0.0 to 1.0) for the ` +
      "following question. Give ONLY the guesses and probabilities, no other words or explanation. For example:\n\n" +
      all.map((n) => `${guessLine(n)}\n${probabilityLine(n)}`).join("\n") + asked;
  }
  return `Provide your ${count} best guesses for the following question. Give ONLY the guesses, no other words or ` +
    `explanation. For example:\n\n${all.map(guessLine).join("\n")}${asked}`;
}

/** What is asked once the guess stands. */
function secondStage(style: VerbalizedStyle): string {
  const count = guessesOf(style);
  if (count === 1) return SECOND_STAGE;
  return "Provide the probability that each of your guesses is correct. Give ONLY the probabilities, no other words " +
    `or explanation.\n\nFor example:\n\n${numbers(count).map(probabilityLine).join("\n")}`;
}

/** Turns of which the last is the beginning of the model's own. */
type Dialog = readonly ChatMessage[];

const user = (content: string): ChatMessage => ({ role: "user", content });
const own = (content: string): ChatMessage => ({ role: "assistant", content });

/** The question without its few-shot examples, and without the word that announces it. */
const questionOf = ({ context }: Generation) => context.trim().replace(/^(The question is|Question):\s*/, "");

/**
 * What stands in front of the probability. The answer at hand is the model's guess, or the first of them.
 *
 * @param between what the model wrote on the way: its explanation, or its other guesses
 */
function dialogOf(row: Generation, style: VerbalizedStyle, between: string): Dialog {
  if (style === "vrbal") {
    return [user(promptText(row)), own(row.output), user(SECOND_STAGE), own("Probability:")];
  }
  const first = user(firstStage(style, questionOf(row))), several = guessesOf(style) > 1;
  if (style === "1s1g") return [first, own(`Guess: ${row.output}\nProbability:`)];
  if (style.startsWith("1s")) return [first, own(`G1: ${row.output}\nP1:`)];
  const guess = several
    ? `G1: ${row.output}\nG2: ${between}`
    : style === "2s1CoT"
    ? `Explanation: ${between}\n\nGuess: ${row.output}`
    : `Guess: ${row.output}`;
  return [first, own(guess), user(secondStage(style)), own(several ? "P1:" : "Probability:")];
}

/** What the model writes before it is asked for the probability, in the styles in which it does. */
async function writeBetween(
  model: LanguageModel,
  rows: readonly Generation[],
  context: MethodContext<VerbalizedOptions>,
): Promise<readonly string[]> {
  const { options: { style }, progress } = context;
  const others = style.startsWith("2s") ? guessesOf(style) - 1 : 0;
  if (others === 0 && style !== "2s1CoT") return rows.map(() => "");
  const texts: string[] = [];
  const dialogs = rows.map((row): Dialog => [
    user(firstStage(style, questionOf(row))),
    own(others > 0 ? `G1: ${row.output}\nG2:` : "Explanation:"),
  ]);
  const options = others > 0
    ? { tokens: GUESS_TOKENS, lines: others }
    : { tokens: EXPLANATION_TOKENS, lines: 1 };
  let done = 0;
  for await (const { index, text } of write(model, rows, dialogs, options, context)) {
    texts[index] = text;
    progress.update(++done, rows.length, others > 0 ? "guesses" : "explanations");
  }
  return texts;
}

/** Has the model go on for some lines; texts come as they are finished. */
async function* write(
  model: LanguageModel,
  rows: readonly Generation[],
  dialogs: readonly Dialog[],
  { tokens, lines }: { readonly tokens: number; readonly lines: number },
  { options, batchSize, chat = false }: MethodContext<VerbalizedOptions>,
): AsyncIterable<{ readonly index: number; readonly text: string }> {
  const { tokenizer, contextLength } = model;
  const prompts = dialogs.map((dialog, index) =>
    encodeDialog(model, dialog, { ...options, chat }, contextLength - tokens, rows[index].id)
  );
  const written = new Map<number, number[]>();
  const onToken = (index: number, token: number) => {
    const ids = written.getOrInsertComputed(index, () => []);
    ids.push(token);
    return !isOver(tokenizer.decode(ids), lines);
  };
  const greedy = { maxNewTokens: tokens, batchSize, temperature: 0, topP: 1, seed: 0, onToken };
  for await (const { index, tokens: ids } of model.generate(prompts, greedy)) {
    written.delete(index);
    yield { index, text: firstLines(tokenizer.decode(ids), lines).join("\n") };
  }
}

/** The first lines of a text that say something. */
function firstLines(text: string, count: number): readonly string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").slice(0, count);
}

/** Whether so many lines are there, and the last of them is over. */
const isOver = (text: string, lines: number) => firstLines(`${text}x`, lines + 1).length > lines;

function encodeDialog(
  model: LanguageModel,
  dialog: Dialog,
  { style, chat }: VerbalizedOptions & Required<Pick<MethodContext, "chat">>,
  limit: number,
  row: string,
): number[] {
  const { tokenizer } = model, [{ content: first }, ...rest] = dialog;
  if (!chat || !tokenizer.chat) {
    // The model's own answer stands where it wrote it.
    const text = `${first}${style === "vrbal" ? " " : "\n\n"}${
      rest.map(({ content }) => content).join("\n\n")
    }`;
    return encodeWithin(tokenizer, text, limit, row);
  }
  const beginning = dialog.at(-1)!.content;
  const ids = [
    ...tokenizer.chat(dialog.slice(0, -1)),
    ...tokenizer.encode(beginning, { specialTokens: false }),
  ];
  // The same refusal as of a text that is too long.
  return encodeWithin({ ...tokenizer, encode: () => ids }, first, limit, row);
}

/**
 * A probability that stands alone, as in `0.85` or `85%`.
 *
 * @returns null for anything else: words, ranges, and numbers beyond [0, 1] without a percent sign
 */
export function parseProbability(text: string): number | null {
  const [, number, percent] = /^(\d+(?:\.\d*)?|\.\d+)\s*(%?)\.?$/.exec(text.trim()) ?? [];
  if (number === undefined) return null;
  const probability = percent ? Number(number) / 100 : Number(number);
  return probability <= 1 ? probability : null;
}
