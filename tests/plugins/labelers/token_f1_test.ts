import { assertEquals } from "@std/assert";
import { tokenF1 } from "@credence/credence";
import { testLabeler } from "@credence/credence/testing";

testLabeler(tokenF1, {
  correct: [
    { answer: "the city of New York", target: "New York City" },
    { answer: "New York", target: "New York City" },
    { answer: "", target: "" },
  ],
  wrong: [
    { answer: "York York York", target: "New York City" },
    { answer: "London", target: "New York City" },
    { answer: "", target: "Paris" },
  ],
});

Deno.test("token-f1 counts a word as often as it stands in both, and takes an F1 at the threshold", () => {
  // Two of three words, twice: F1 is 2/3.
  const asked = { question: "", target: "one two two", answer: "two two two" };
  assertEquals(tokenF1.label!(asked, { threshold: 2 / 3 }), 1);
  assertEquals(tokenF1.label!(asked, { threshold: 0.67 }), 0);
});
