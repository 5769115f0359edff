import { assertEquals } from "@std/assert";
import { gradingChat, readStructuredVerdict, readVerdict } from "../../../plugins/labelers/grading.ts";

const REQUEST = {
  question: "Question: Where?\nAnswer:",
  target: "New York City",
  answer: "NYC $& <question>",
};

Deno.test("gradingChat() asks as the research code does, to the letter", () => {
  assertEquals(gradingChat(REQUEST), [
    {
      role: "system",
      content: "You are an automated grading assistant helping a teacher grade student answers.",
    },
    {
      role: "user",
      content:
        "The problem is: Question: Where?\nAnswer:\n\n The correct answer for this problem is: New York City\n " +
        "A student submitted the answer: NYC $& <question>\n The student's answer must be correct and specific but not " +
        "overcomplete (for example, if they provide two different answers, they did not get the question right). " +
        "However, small differences in formatting should not be penalized (for example, 'New York City' is equivalent " +
        "to 'NYC'). Did the student provide an equivalent answer to the ground truth? Please answer yes or no without " +
        "any explanation: ",
    },
  ]);
});

Deno.test("gradingChat() asks whether two answers are the same as the research code does, to the letter", () => {
  assertEquals(
    gradingChat({ ...REQUEST, twoAnswers: true })[1].content,
    "The problem is: Question: Where?\nAnswer:\n\nStudent A submitted the answer: New York City\n " +
      "Student B submitted the answer: NYC $& <question>\nYour task is to evaluate if these two answers are equivalent, " +
      "so the teacher can group matching answers together. Small differences in formatting should not be a reason to " +
      "mark the answers as different. Did the two students provide equivalent answers? Please answer yes or no without " +
      "any explanation: ",
  );
});

for (
  const [reply, label] of [
    ["Yes", 1],
    ["no", 0],
    [" YES.\n", 1],
    ['"No"', 0],
    ["**Yes!**", 1],
    ["yes and no", null],
    ["Yes, they are the same.", null],
    ["not yes", null],
    ["yesterday", null],
    ["Yes No", null],
    ["y", null],
    ["", null],
    ["correct", null],
    ["да", null],
  ] as const
) {
  Deno.test(`readVerdict() takes ${JSON.stringify(reply)} for ${label}`, () =>
    assertEquals(readVerdict(reply), label));
}

for (
  const [reply, label] of [
    ['{"answer": "yes"}', 1],
    ['\n{"answer":"no"}', 0],
    ['{"answer": "maybe"}', null],
    ['{"answer": "yes", "but": "no"}', null],
    ['{"answer": ["yes"]}', null],
    ["{}", null],
    ["yes", null],
    ["null", null],
    ['"yes"', null],
    ['{"answer": "ye', null],
  ] as const
) {
  Deno.test(`readStructuredVerdict() takes ${JSON.stringify(reply)} for ${label}`, () => {
    assertEquals(readStructuredVerdict(reply), label);
  });
}
