import { assertEquals } from "@std/assert";
import { substring } from "@credence/credence";
import { testLabeler } from "@credence/credence/testing";

testLabeler(substring, {
  correct: [
    { answer: "Paris", target: "Paris" },
    { answer: "It is Paris.", target: "Paris" },
    { answer: "Parisian", target: "Paris" },
    { answer: "c", target: "c" },
    { answer: "2 * 2 = 4 (four)", target: "= 4 (" },
  ],
  wrong: [
    { answer: "paris", target: "Paris" },
    { answer: "Par is", target: "Paris" },
    { answer: "Pari", target: "Paris" },
    { answer: "", target: "Paris" },
    { answer: "Zürich", target: "Zu\u0308rich" },
  ],
});

Deno.test("substring takes the target as it stands, not as a pattern", () => {
  assertEquals(substring.label!({ question: "", target: "a.c", answer: "abc" }, {}), 0);
});
