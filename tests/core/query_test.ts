import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { dataError } from "../../core/files.ts";
import { CHAT_INSTRUCTION } from "../../core/chat.ts";
import {
  answerTokens,
  encodeQuery,
  encodeWithin,
  QUERY_FORMATS,
  queryFormat,
  queryText,
  queryTokens,
  ROMAN_CHOICE,
} from "../../core/query.ts";
import type { ChatMessage, Tokenizer } from "../../core/types.ts";
import { generation } from "./_samples.ts";

/** A tokenizer whose tokens are these strings, longest first, or single characters. */
function tokenizer(...tokens: readonly string[]): Tokenizer {
  const known: string[] = [...tokens];
  const encode = (text: string): number[] => {
    if (text === "") return [];
    const token = known.filter((one) => text.startsWith(one)).sort((a, b) => b.length - a.length)[0] ??
      text[0];
    if (!known.includes(token)) known.push(token);
    return [known.indexOf(token), ...encode(text.slice(token.length))];
  };
  return {
    encode,
    decode: (ids) => ids.map((id) => known[id]).join(""),
    answerToken: (text) => encode(text).at(-1)!,
    vocabulary: 1000,
    stopTokens: [],
  };
}

Deno.test("queryText() asks as the released adapters were trained to be asked, byte for byte", () => {
  assertEquals(
    queryText(generation("a", { output: "It is a." })),
    "Question: What is a?\nAnswer: It is a.\n\n" +
      "Is the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:",
  );
});

Deno.test("queryText() keeps the worked examples in front", () => {
  const row = generation("a", { prompt: "Examples.\n\n", output: "b" });
  assertEquals(queryText(row).startsWith("Examples.\n\nQuestion: What is a?\nAnswer: b\n\nIs the"), true);
});

Deno.test("queryText() keeps the blank in front of an empty answer, and those within one", () => {
  assertEquals(
    queryText(generation("a", { output: "" })).startsWith("Question: What is a?\nAnswer: \n\nIs the"),
    true,
  );
  assertEquals(
    queryText(generation("a", { output: " b " })).startsWith("Question: What is a?\nAnswer:  b \n\nIs the"),
    true,
  );
});

Deno.test("queryText() asks in another format when given one", () => {
  const format = { name: "bool", suffix: "\nRight?", answers: ["no", "yes"] } as const;
  assertEquals(
    queryText(generation("a", { output: "b" }), format),
    "Question: What is a?\nAnswer: b\nRight?",
  );
});

Deno.test("queryTokens() gives the tokens of the question, but for those that merge with an answer's end", () => {
  const suffix = ROMAN_CHOICE.suffix.length;
  assertEquals(queryTokens(tokenizer()).length, suffix);
  const merging = tokenizer(".\n\n", "Is", "Answer:");
  const tokens = queryTokens(merging);
  assertEquals(merging.decode(tokens), ROMAN_CHOICE.suffix.trimStart());
  for (const output of ["It is a.", "b", ""]) {
    const ids = merging.encode(queryText(generation("a", { output })));
    assertEquals(ids.slice(-tokens.length), tokens);
  }
});

Deno.test("queryTokens() refuses a tokenizer whose tokens depend on the whole text", () => {
  const whole = { ...tokenizer(), encode: (text: string) => [text.length, text.charCodeAt(0)] };
  const error = assertThrows(() => queryTokens(whole), UserError);
  assertEquals([error.kind, error.where], ["data", "tokenizer"]);
});

Deno.test("answerTokens() gives the token for wrong first, then the one for correct", () => {
  const words = tokenizer("ii", "i");
  assertEquals(answerTokens(words), [1, 0]);
  assertEquals(ROMAN_CHOICE.answers, ["i", "ii"]);
});

/** A tokenizer that splits these texts. */
const splitting = (...texts: readonly string[]): Tokenizer => ({
  ...tokenizer("i", "ii", "a", "b", "no", "yes"),
  answerToken(text) {
    if (texts.includes(text)) {
      throw dataError(`"${text}" is not a single token`, "tokenizer.json", "use another");
    }
    return text.length;
  },
});

Deno.test("answerTokens() refuses a tokenizer in which ii is twice the token i", () => {
  const { kind, what } = assertThrows(() => answerTokens(tokenizer("i")), UserError);
  assertEquals(kind, "data");
  assertEquals(what, 'The query format roman_choice cannot be used: "i" and "ii" end in the same token');
});

Deno.test("answerTokens() names the answers that are not single tokens, and the formats whose answers are", () => {
  const roman = assertThrows(() => answerTokens(splitting("i", "ii", "b")), UserError);
  assertEquals(
    roman.what,
    'The query format roman_choice cannot be used: "i" and "ii" are not a single token',
  );
  assertEquals(roman.fix, "use --query-format=bool, whose answers are, or another model");
  const [, , bool] = QUERY_FORMATS;
  const error = assertThrows(() => answerTokens(splitting("ii", "a", "yes"), bool), UserError);
  assertEquals(error.what, 'The query format bool cannot be used: "yes" is not a single token');
  assertEquals(error.fix, "use a model whose tokenizer has each answer as one token");
});

Deno.test("queryFormat() knows three formats by name, and refuses another with the nearest", () => {
  assertEquals(QUERY_FORMATS.map(({ name }) => queryFormat(name).answers), [["i", "ii"], ["a", "b"], [
    "no",
    "yes",
  ]]);
  const error = assertThrows(() => queryFormat("alfa_choice"), UserError);
  assertEquals([error.kind, error.where, error.fix], [
    "usage",
    "--query-format",
    'did you mean "alpha_choice"?',
  ]);
});

Deno.test("encodeQuery() asks in one text, or behind the answer as a turn of a chat", () => {
  const words = tokenizer();
  const chats: (readonly ChatMessage[])[] = [];
  const chatting: Tokenizer = { ...words, chat: (turns) => words.encode(`${chats.push(turns)}`) };
  const row = generation("a", { output: "It is a." });
  assertEquals(words.decode(encodeQuery(chatting, row, { limit: 1000 })), queryText(row));
  encodeQuery(chatting, row, { limit: 1000, chat: true });
  assertEquals(chats[0].map(({ role, content }) => [role, content]), [
    ["system", CHAT_INSTRUCTION],
    ["user", "Question: What is a?\nAnswer:"],
    ["assistant", "It is a."],
    ["user", "Is the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"],
  ]);
});

Deno.test("encodeWithin() gives the ids of a text that just fits", () => {
  const letters = tokenizer("a", "b");
  assertEquals(encodeWithin(letters, "abab", 4, "7"), [0, 1, 0, 1]);
});

Deno.test("encodeWithin() refuses a text one token too long, naming row, lengths and flag", () => {
  const long = "ab".repeat(40);
  const error = assertThrows(() => encodeWithin(tokenizer("a", "b"), long, 79, "7"), UserError);
  assertEquals([error.kind, error.exitCode], ["data", 4]);
  assertEquals(error.what, "The text has 80 tokens, but the model reads at most 79");
  assertEquals(error.where, `row 7, which begins "${long.slice(0, 60)}"`);
  assertEquals(error.fix.includes("--kshot"), true);
});
