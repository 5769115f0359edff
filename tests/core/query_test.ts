import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { dataError } from "../../core/files.ts";
import { answerTokens, encodeWithin, queryText, queryTokens, ROMAN_CHOICE } from "../../core/query.ts";
import type { Tokenizer } from "../../core/types.ts";
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

Deno.test("answerTokens() refuses a tokenizer in which ii is twice the token i", () => {
  const { kind, what } = assertThrows(() => answerTokens(tokenizer("i")), UserError);
  assertEquals(kind, "data");
  assertEquals(what, '"i" and "ii" end in the same token, so the answers cannot be told apart');
});

Deno.test("answerTokens() passes on what a tokenizer says of an answer that it splits", () => {
  const refusing: Tokenizer = {
    ...tokenizer(),
    answerToken(text) {
      throw dataError(`"${text}" is not a single token`, "tokenizer.json", "use another model");
    },
  };
  assertThrows(() => answerTokens(refusing), UserError, '"i" is not a single token');
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
