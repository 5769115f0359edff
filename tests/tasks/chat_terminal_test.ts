import { assertEquals } from "@std/assert";
import { UNTUNED } from "../../tasks/_chat.ts";
import { confidenceText, judgeText, verdict } from "../../tasks/_chat_terminal.ts";

Deno.test("confidenceText() is green from 70 %, yellow from 40 %, else red, and plain where colours are not wanted", () => {
  const colours = [0.7, 0.69, 0.4, 0.39].map((p) => confidenceText(p, true).slice(2, 4));
  assertEquals(colours, ["32", "33", "33", "31"]);
  assertEquals(confidenceText(0.734, false), "73 % sure");
});

Deno.test("verdict() says whose confidence it is where that is the untuned model's", () => {
  const reply = { question: "?", answer: "!", pCorrect: 0.5, tokens: 3, cut: false };
  assertEquals(verdict(reply, UNTUNED, false), "50 % sure, says the untuned model");
  assertEquals(verdict(reply, { name: "mine", checkpoint: "mine" }, false), "50 % sure");
});

Deno.test("verdict() says that an answer was cut or stopped, or that there is no confidence in it", () => {
  const reply = { question: "?", answer: "!", tokens: 3, cut: true };
  const judge = { name: "mine", checkpoint: "mine" };
  assertEquals(verdict({ ...reply, pCorrect: 0.5 }, judge, false), "50 % sure (cut after 3 tokens)");
  assertEquals(verdict(reply, judge, false), "(stopped)");
  assertEquals(verdict({ ...reply, pCorrect: null }, judge, false), "(the method gives no confidence)");
});

Deno.test("judgeText() names the adapter, and its calibrator, or that it has none where one was asked for", () => {
  assertEquals(judgeText(UNTUNED), "Confidence is that of the untuned model.");
  const judge = { name: "mine", checkpoint: "/mine" };
  assertEquals(judgeText(judge), "Confidence is that of mine.");
  assertEquals(
    judgeText({ ...judge, calibrator: { kind: "temperature", temperature: 1.25 } }),
    "Confidence is that of mine, at temperature 1.250.",
  );
  assertEquals(
    judgeText({ ...judge, unfitted: true }),
    "Confidence is that of mine, for which no calibrator was fitted.",
  );
});
