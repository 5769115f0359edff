import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { promptText, type Question, type StyleWording } from "../../core/records.ts";
import { answerText, renderPrompt } from "../../core/wording.ts";
import { frozen, question } from "./_samples.ts";

/** Renders in a style "plain", whose target is the answer's text. */
const render = (
  asked: Question,
  shots: readonly Question[] = [],
  fallback: StyleWording & { readonly context: string } = { context: "Question: {question}" },
  suffix: (question: Question) => string = () => "",
) =>
  renderPrompt(frozen(asked), frozen(shots), "plain", fallback, (one) => ({
    suffix: suffix(one),
    target: answerText(one),
  }));

const worded = (id: string, wording: StyleWording, parts: Partial<Question> = {}) =>
  question(id, { wording: { plain: wording }, ...parts });

Deno.test("renderPrompt() without worked examples has an empty prompt and ends in the answer's place", () => {
  const prompt = render(question("a"));
  assertEquals(prompt, {
    id: "a",
    split: "test",
    prompt: "",
    context: "Question: What is a?",
    targetPrompt: "\nAnswer:",
    target: "It is a.",
  });
  assertEquals(promptText(prompt), "Question: What is a?\nAnswer:");
});

Deno.test("renderPrompt() with one worked example lays it out as the research code does, byte for byte", () => {
  const prompt = render(question("a"), [question("b")]);
  assertEquals(
    prompt.prompt,
    "The following are questions (with answers).\n\n" +
      "Question: What is b?\nAnswer: It is b.\n\n" +
      "Now, answer the next question.\n\n",
  );
  assertEquals(promptText(prompt), `${prompt.prompt}Question: What is a?\nAnswer:`);
});

Deno.test("renderPrompt() parts several worked examples by an empty line, in the order given", () => {
  assertEquals(
    promptText(render(question("a"), [question("c"), question("b")])),
    "The following are questions (with answers).\n\n" +
      "Question: What is c?\nAnswer: It is c.\n\n" +
      "Question: What is b?\nAnswer: It is b.\n\n" +
      "Now, answer the next question.\n\n" +
      "Question: What is a?\nAnswer:",
  );
});

Deno.test("renderPrompt() puts the style's suffix behind the question and behind each worked example's", () => {
  const prompt = render(question("a"), [question("b")], { context: "{question}" }, ({ id }) => ` (${id}!)`);
  assertEquals(prompt.context, "What is a? (a!)");
  assertEquals(prompt.prompt.split("\n")[2], "What is b? (b!)");
});

Deno.test("renderPrompt() takes the style's wording where the dataset has none", () => {
  const style = { context: "Q {question}", targetPrompt: "\nA:", header: "Look.", tail: "Go." };
  assertEquals(
    promptText(render(question("a"), [question("b")], style)),
    "Look.\n\nQ What is b?\nA: It is b.\n\nGo.\n\nQ What is a?\nA:",
  );
});

Deno.test("renderPrompt() takes the dataset's wording before the style's, part by part", () => {
  const style = { context: "Q {question}", targetPrompt: "\nA:", header: "Look.", tail: "Go." };
  const asked = worded("a", { context: "Sentence: {question}", tail: "Now." });
  assertEquals(
    promptText(render(asked, [question("b")], style)),
    "Look.\n\nSentence: What is b?\nA: It is b.\n\nNow.\n\nSentence: What is a?\nA:",
  );
});

Deno.test("renderPrompt() words each worked example as its own question says", () => {
  const asked = worded("a", { context: "Asked: {question}" });
  const shot = worded("b", { context: "Shown: {question}" });
  assertEquals(render(asked, [shot]).prompt.split("\n")[2], "Shown: What is b?");
});

Deno.test("renderPrompt() leaves alone what a dataset says about another style", () => {
  const asked = question("a", { wording: { choice: { context: "never", header: "never" } } });
  assertEquals(promptText(render(asked)), "Question: What is a?\nAnswer:");
});

Deno.test("renderPrompt() fills in the passage, and nothing where there is none", () => {
  const style = { context: "Story: {passage}\n{question}" };
  assertEquals(render(question("a", { passage: "Once." }), [], style).context, "Story: Once.\nWhat is a?");
  assertEquals(render(question("a"), [], style).context, "Story: \nWhat is a?");
});

Deno.test("renderPrompt() leaves braces and dollars in questions and passages as they are", () => {
  const odd = question("a", { question: "{passage} $& {question} $1", passage: "{question} $$" });
  assertEquals(
    render(odd, [], { context: "{passage}|{question}" }).context,
    "{question} $$|{passage} $& {question} $1",
  );
});

Deno.test("renderPrompt() keeps the question's group", () => {
  assertEquals(render(question("a", { group: "anatomy" })).group, "anatomy");
});

Deno.test("answerText() is the answer itself, or the choice it numbers from 0", () => {
  assertEquals(answerText(question("a", { answer: "42" })), "42");
  assertEquals(answerText(question("a", { answer: 0, choices: ["x", "y"] })), "x");
  assertEquals(answerText(question("a", { answer: 1, choices: ["x", "y"] })), "y");
});

Deno.test("answerText() is the choice's number from 1 where the wording of the style says so", () => {
  const asked = question("a", { answer: 1, choices: ["x", "y"], wording: { oe: { numbered: true } } });
  assertEquals([answerText(asked), answerText(asked, "choice")], ["2", "y"]);
});

Deno.test("renderPrompt() fills in choices by number and texts by name, and leaves other braces alone", () => {
  const asked = question("a", { choices: ["x", "y"], answer: 0, texts: { hint: "{choice1}" } });
  const context = "{choice2} {choice1} {choice3} {choice0} {hint} {other}";
  assertEquals(render(asked, [], { context }).context, "y x {choice3} {choice0} {choice1} {other}");
});

Deno.test("renderPrompt() puts the instruction in front of a question that has no worked examples, only", () => {
  const asked = worded("a", { instruction: "Be brief.\n\n" });
  assertEquals(render(asked).prompt, "Be brief.\n\n");
  assertEquals(render(asked, [question("b")]).prompt.includes("Be brief."), false);
});

Deno.test("renderPrompt() separates worked examples from the question as the wording says", () => {
  const shots = [question("b")];
  assertEquals(render(worded("a", { tail: "Now:", separator: "" }), shots).prompt.endsWith("\nNow:"), true);
  assertEquals(render(worded("a", { tail: "Now:" }), shots).prompt.endsWith("\nNow:\n\n"), true);
});

for (
  const { answer, choices, count } of [
    { answer: 2, choices: ["x", "y"], count: 2 },
    { answer: -1, choices: ["x", "y"], count: 2 },
    { answer: 0.5, choices: ["x", "y"], count: 2 },
    { answer: 0, choices: undefined, count: 0 },
  ]
) {
  Deno.test(`answerText() refuses number ${answer} of ${count} choices, naming the question`, () => {
    const error = assertThrows(() => answerText(question("a", { answer, choices })), UserError);
    assertEquals([error.kind, error.where], ["data", "question a"]);
    assertEquals(error.what, `The answer is number ${answer}, but there are ${count} choices`);
  });
}
