import { exactMatch } from "@credence/credence";
import { testLabeler } from "@credence/credence/testing";

testLabeler(exactMatch, {
  correct: [
    { answer: "the Eiffel tower.", target: "Eiffel Tower" },
    { answer: "a", target: "A" },
    { answer: "", target: "" },
  ],
  wrong: [
    { answer: "Paris, France", target: "Paris" },
    { answer: "the", target: "a" },
    { answer: "", target: "Paris" },
  ],
});
