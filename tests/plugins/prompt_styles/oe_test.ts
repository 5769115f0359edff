import { assertEquals, assertThrows } from "@std/assert";
import { oe, promptText, type Question, UserError } from "@credence/credence";
import { testPromptStyle } from "@credence/credence/testing";

const capital: Question = {
  id: "capital",
  split: "test",
  question: "What is the capital of Italy?",
  choices: ["Milan", "Rome"],
  answer: 1,
};
const river: Question = { id: "river", split: "train", question: "Which river is in Rome?", answer: "Tiber" };
const story: Question = {
  id: "story",
  split: "test",
  question: "Who ran?",
  passage: "Ann ran; {question}.",
  answer: "Ann",
  wording: {
    oe: {
      context: "Story: {passage}\n{question}",
      targetPrompt: "\nReply:",
      header: "These are stories.",
      tail: "Now this one.",
    },
    choice: { context: "not for this style" },
  },
};

testPromptStyle(oe, {
  renders: [
    { question: capital, text: "Question: What is the capital of Italy?\nAnswer:", target: "Rome" },
    { question: river, text: "Question: Which river is in Rome?\nAnswer:", target: "Tiber" },
    {
      question: capital,
      shots: [river],
      text: "The following are questions (with answers).\n\n" +
        "Question: Which river is in Rome?\nAnswer: Tiber\n\n" +
        "Now, answer the next question.\n\n" +
        "Question: What is the capital of Italy?\nAnswer:",
      target: "Rome",
    },
    { question: story, text: "Story: Ann ran; {question}.\nWho ran?\nReply:", target: "Ann" },
    {
      question: story,
      shots: [story],
      text: "These are stories.\n\nStory: Ann ran; {question}.\nWho ran?\nReply: Ann\n\n" +
        "Now this one.\n\nStory: Ann ran; {question}.\nWho ran?\nReply:",
      target: "Ann",
    },
  ],
  cleans: [
    [" Rome", "Rome"],
    ["Rome\nQuestion: next?", "Rome"],
    ["\n\nRome\n", "Rome"],
    ["\n \nRome", ""],
    ["Answer:\nRome", "Answer:Rome"],
    ["", ""],
    ["\n", ""],
    ["\n\n\nRome\n\nParis\n", "Rome"],
    ["It is:\n\nRome\nParis", "It is:Rome"],
  ],
});

Deno.test("oe takes an answer for complete as soon as its line has ended", () => {
  const complete = (output: string) => oe.isComplete!(output, {});
  assertEquals(["", "\n", "Rome", "\nRome", "It is:\n"].filter(complete), []);
  assertEquals(["Rome\n", "\nRome \n", "It is:\nRome\n", " \n"].filter((text) => !complete(text)), []);
});

Deno.test("oe ends the prompt without a blank, so that the answer's token begins with one", () => {
  assertEquals(promptText(oe.render(capital, [], {})).endsWith(":"), true);
});

Deno.test("oe refuses an answer that names no choice, naming the question", () => {
  const error = assertThrows(() => oe.render({ ...capital, answer: 2 }, [], {}), UserError);
  assertEquals([error.where, error.kind], ["question capital", "data"]);
});

Deno.test("oe keeps all lines of an answer up to an empty one where the right answer has several, and stops there", () => {
  const worked = oe.render({ ...river, answer: "One and one are two.\n#### 2" }, [], {});
  const clean = (output: string) => oe.cleanUp(output, {}, worked);
  const solution = "Two and two are four.\n#### 4";
  for (
    const output of [
      ` ${solution}`,
      `\n${solution}\n\nQuestion: next?`,
      `${solution}\n  \nOne`,
      `${solution}\n`,
    ]
  ) {
    assertEquals(clean(output), solution);
  }
  assertEquals([clean(""), clean("\n\n")], ["", ""]);
  assertEquals(oe.cleanUp(` ${solution}`, {}, oe.render(river, [], {})), "Two and two are four.");
  const isComplete = (output: string) => oe.isComplete!(output, {}, worked);
  assertEquals([` ${solution}`, ` ${solution}\n`, ` ${solution}\n\n`, "\n\n"].map(isComplete), [
    false,
    false,
    true,
    false,
  ]);
});
