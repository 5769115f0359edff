import { assertEquals, assertRejects } from "@std/assert";
import { type Method, UserError } from "../../core/mod.ts";
import { loraPrompt, oe } from "@credence/credence";
import { FakeModel } from "@credence/credence/testing";
import { Chat } from "../../tasks/_chat.ts";
import { chatInPipe } from "../../tasks/_chat_pipe.ts";

/** A chat whose answer is the question's last word, at most five tokens before it. */
function echo(): Chat {
  const answer = (text: string) => ` ${/(\S+)\nAnswer:$/.exec(text)![1]}`;
  // The confidence is asked with a longer text than the question.
  const model = Object.assign(new FakeModel({ answer, contextLength: 60 }), { contextLength: 60 });
  return new Chat(model, oe, loraPrompt as unknown as Method, {
    temperature: 0,
    topP: 1,
    seed: 1,
    maxNewTokens: 50,
  });
}

/** What is written for an input, which comes in these pieces. */
async function pipe(...pieces: readonly (string | Uint8Array<ArrayBuffer>)[]) {
  const lines: string[] = [];
  const encoder = new TextEncoder();
  const input = ReadableStream.from(
    pieces.map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece),
  );
  const done = chatInPipe(echo(), input, (line) => lines.push(line));
  const error = await done.then(() => undefined, (error) => error);
  return { objects: lines.map((line) => JSON.parse(line)), error, lines };
}

Deno.test("chatInPipe() gives an object a line, in order, with its keys in a fixed order", async () => {
  const { lines, error } = await pipe("Say one\nSay two\n");
  assertEquals([lines, error], [[
    '{"question":"Say one","answer":"one","pCorrect":0.5,"tokens":1}',
    '{"question":"Say two","answer":"two","pCorrect":0.5,"tokens":1}',
  ], undefined]);
});

Deno.test("chatInPipe() passes over empty lines, and takes a last line that is not ended", async () => {
  const { objects } = await pipe("\n  \nSay one\r\n\r\nSay two");
  assertEquals(objects.map(({ question }) => question), ["Say one", "Say two"]);
});

Deno.test("chatInPipe() takes a line that comes in pieces, also where they cut a character", async () => {
  const bytes = new TextEncoder().encode("Say grüß\nSay two\n");
  const { objects } = await pipe(...Array.from(bytes, (byte) => Uint8Array.of(byte)));
  assertEquals(objects.map(({ answer }) => answer), ["grüß", "two"]);
});

Deno.test("chatInPipe() answers nothing where there is nothing", async () => {
  assertEquals(await pipe(), { objects: [], error: undefined, lines: [] });
});

Deno.test("chatInPipe() takes a line with a slash for a question", async () => {
  assertEquals((await pipe("/quit\n")).objects[0].answer, "/quit");
});

Deno.test("chatInPipe() says of a question that is too long what is wrong, goes on, and fails at the end", async () => {
  const { objects, error } = await pipe(`Say one\n${"word ".repeat(20)}\nSay two\n`);
  assertEquals(objects.map(({ answer }) => answer), ["one", undefined, "two"]);
  assertEquals(objects[1], {
    question: "word ".repeat(20).trim(),
    error: "The question has 22 tokens, but the model reads at most 10 before an answer",
  });
  assertEquals([error.kind, error.what, error.where], [
    "data",
    "1 of 3 questions could not be answered",
    "standard input, line 2",
  ]);
});

Deno.test("chatInPipe() keeps no more of an endless line than it would ever read, and goes on behind it", async () => {
  const { objects, error } = await pipe(...Array<string>(20).fill("a".repeat(2 ** 16)), "\nSay two\n");
  assertEquals(objects, [
    { question: `${"a".repeat(60)}…`, error: "The line has more than 1048576 characters" },
    { question: "Say two", answer: "two", pCorrect: 0.5, tokens: 1 },
  ]);
  assertEquals(error.where, "standard input, line 1");
});

Deno.test("chatInPipe() does not go on after an error that has nothing to do with the line", async () => {
  const broken = { clear() {}, ask: () => Promise.reject(new Error("device lost")) } as unknown as Chat;
  const input = ReadableStream.from([new TextEncoder().encode("a\nb\n")]);
  await assertRejects(() => chatInPipe(broken, input, () => {}), Error, "device lost");
  const usage = new UserError({ kind: "usage", what: "no room", where: "--max-new-tokens", fix: "use less" });
  const refusing = { clear() {}, ask: () => Promise.reject(usage) } as unknown as Chat;
  const again = ReadableStream.from([new TextEncoder().encode("a\nb\n")]);
  await assertRejects(() => chatInPipe(refusing, again, () => {}), UserError, "no room");
});
