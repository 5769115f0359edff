import { assertEquals, assertThrows } from "@std/assert";
import { choice, type Question, UserError } from "@credence/credence";
import { testPromptStyle } from "@credence/credence/testing";

const capital: Question = {
  id: "capital",
  split: "test",
  question: "What is the capital of Italy?",
  choices: ["Milan", "Rome", "Turin"],
  answer: 1,
};
const river: Question = {
  id: "river",
  split: "train",
  question: "Which river is in Rome?",
  choices: ["Tiber", "Po"],
  answer: "Tiber",
};

const letters = (count: number): Question => ({
  id: `${count} choices`,
  split: "test",
  question: "Which?",
  choices: Array.from({ length: count }, (_, index) => `choice ${index}`),
  answer: count - 1,
});

testPromptStyle(choice, {
  renders: [
    {
      question: capital,
      text: "Question:\nWhat is the capital of Italy?\n\n" +
        "Choices:\n  (a): Milan\n  (b): Rome\n  (c): Turin\nAnswer:",
      target: "b",
    },
    {
      question: capital,
      shots: [river],
      text: "The following are questions (with multiple-choice answers).\n\n" +
        "Question:\nWhich river is in Rome?\n\nChoices:\n  (a): Tiber\n  (b): Po\nAnswer: a\n\n" +
        "Now, answer the next question.\n\n" +
        "Question:\nWhat is the capital of Italy?\n\n" +
        "Choices:\n  (a): Milan\n  (b): Rome\n  (c): Turin\nAnswer:",
      target: "b",
    },
    {
      question: letters(1),
      text: "Question:\nWhich?\n\nChoices:\n  (a): choice 0\nAnswer:",
      target: "a",
    },
  ],
  cleans: [[" b", "b"], ["b", "b"], ["\nb ", "b"], ["", ""]],
});

Deno.test("choice names the 26th choice z, and refuses a 27th", () => {
  assertEquals(choice.render(letters(26), [], {}).target, "z");
  assertThrows(() => choice.render({ ...letters(27), answer: 0 }, [], {}), UserError, "it has 27");
});

const unsound: readonly (readonly [why: string, question: Question])[] = [
  ["no choices", { ...capital, choices: undefined }],
  ["an empty list of choices", { ...capital, choices: [] }],
  ["an answer past the last choice", { ...capital, answer: 3 }],
  ["a negative answer", { ...capital, answer: -1 }],
  ["a fractional answer", { ...capital, answer: 0.5 }],
  ["an answer that is none of the choices", { ...capital, answer: "Naples" }],
];
for (const [why, question] of unsound) {
  Deno.test(`choice refuses a question with ${why}, naming it`, () => {
    const error = assertThrows(() => choice.render(question, [], {}), UserError);
    assertEquals([error.where, error.kind], ["question capital", "data"]);
  });
}

Deno.test("choice asks for a single token", () => assertEquals(choice.maxNewTokens, 1));
