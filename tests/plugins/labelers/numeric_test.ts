import { assertEquals } from "@std/assert";
import { numeric } from "@credence/credence";
import { testLabeler } from "@credence/credence/testing";

testLabeler(numeric, {
  correct: [
    { answer: "18", target: "She makes 9 * 2 = <<9*2=18>>18 dollars.\n#### 18" },
    { answer: "9 eggs at $2 make $18.00 a day.", target: "#### 18" },
    { answer: "#### 18\n\nQuestion: 7 birds", target: "#### 18" },
    { answer: "1234567", target: "#### 1,234,567" },
    { answer: "1’234’567 people", target: "1,234,567" },
    { answer: "It is -5.", target: "−5" },
    { answer: "-$5", target: "-5" },
    { answer: "10-3 = 7", target: "7" },
    { answer: "10-3", target: "3" },
    { answer: "50%", target: "50" },
    { answer: ".5", target: "0.5" },
    { answer: "1.5e3", target: "1500" },
    { answer: "about 0.3333333", target: "0.33333333" },
    { answer: "12 H2O molecules", target: "12" },
    { answer: "1, 2, 3", target: "3" },
  ],
  wrong: [
    { answer: "17", target: "#### 18" },
    { answer: "18 or 19", target: "#### 18" },
    { answer: "5", target: "-5" },
    { answer: "1,234", target: "1.234" },
    { answer: "eighteen", target: "#### 18" },
    { answer: "", target: "#### 18" },
    { answer: "0.34", target: "0.33" },
    { answer: "9".repeat(400), target: "9" },
  ],
  undecided: [{ answer: "18", target: "eighteen" }, { answer: "18", target: "" }],
});

Deno.test("numeric takes an answer within its tolerance, a share of the target", () => {
  const asked = { question: "", target: "200", answer: "201" };
  assertEquals([0.005, 0.004].map((tolerance) => numeric.label!(asked, { tolerance })), [1, 0]);
  const small = { question: "", target: "0.001", answer: "0.002" };
  assertEquals([0.001, 0.0001].map((tolerance) => numeric.label!(small, { tolerance })), [1, 0]);
});

Deno.test("numeric reads long texts of digits and commas in no time", () => {
  for (const text of ["1,".repeat(50_000), "1".repeat(100_000), "- ".repeat(50_000), "1.".repeat(50_000)]) {
    numeric.label!({ question: "", target: "1", answer: text }, numeric.defaults);
  }
});
