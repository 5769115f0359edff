import { choiceLetter } from "@credence/credence";
import { testLabeler } from "@credence/credence/testing";

testLabeler(choiceLetter, {
  correct: [
    { answer: "b", target: "b" },
    { answer: "(B)", target: "b" },
    { answer: " B. ", target: "b" },
    { answer: "b) Paris", target: "b" },
    { answer: "(b): Paris, not (c)", target: "b" },
    { answer: "The answer is b.", target: "b" },
    { answer: "The correct answer is (b) because of (a).", target: "b" },
    { answer: "Answer: **B**", target: "b" },
    { answer: "I would say (b), a city.", target: "b" },
    { answer: "j", target: "(J)" },
    { answer: "a", target: "a" },
  ],
  wrong: [
    { answer: "c", target: "b" },
    { answer: "The answer is (a).", target: "b" },
    { answer: "A. dog", target: "b" },
  ],
  undecided: [
    { answer: "Paris", target: "b" },
    { answer: "A dog", target: "a" },
    { answer: "The answer is a dog", target: "a" },
    { answer: "(a) or (b)?", target: "c" },
    { answer: "either (a) or (b)", target: "b" },
    { answer: "", target: "b" },
    { answer: "b", target: "Paris" },
    { answer: "ab", target: "a" },
    { answer: "b) or c)", target: "b" },
    { answer: "The answer is (a) or (b).", target: "a" },
    { answer: "U.S. troops", target: "u" },
  ],
});
