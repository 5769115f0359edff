import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type ChatMessage,
  createRng,
  type Generation,
  parseProbability,
  UserError,
  verbalized,
  VERBALIZED_STYLES,
  type VerbalizedOptions,
} from "@credence/credence";
import { FakeModel, type FakeModelOptions, testMethod } from "@credence/credence/testing";

testMethod(verbalized);

const ROW: Generation = {
  id: "7",
  split: "test",
  prompt: "Question: Is this shown?\nAnswer: no\n\n",
  context: "Question: Where is the tower?",
  targetPrompt: "\nAnswer:",
  target: "never shown",
  output: "in Paris",
};

/** What the model was asked, and what came of it. */
async function ask(options: Partial<VerbalizedOptions>, answer: FakeModelOptions["answer"], rows = [ROW]) {
  const prompts: string[] = [];
  const model = new FakeModel({
    answer(prompt) {
      prompts.push(prompt);
      return answer!(prompt);
    },
  });
  const context = { rng: createRng(1), batchSize: 2, progress: { update() {} } };
  const scores = await Array.fromAsync(
    verbalized.predict(model, rows, { ...context, options: { ...verbalized.defaults, ...options } }),
  );
  return { prompts, scores };
}

const GUESS = "as short as possible; not a complete sentence, just the guess!>";
const PROBABILITY = "is correct, without any extra commentary whatsoever; just the probability!>";

Deno.test("verbalized: 1s1g asks for guess and probability at once, in the words of the paper, with the answer as guess", async () => {
  const { prompts, scores } = await ask({ style: "1s1g" }, () => " 0.85\nmore");
  assertEquals(prompts, [
    "Provide your best guess and the probability that it is correct (0.0 to 1.0) for the following question. Give ONLY " +
    "the guess and probability, no other words or explanation. For example:\n\n" +
    `Guess: <most likely guess, ${GUESS}\n` +
    `Probability: <the probability between 0.0 and 1.0 that your guess ${PROBABILITY}\n\n` +
    "The question is: Where is the tower?\n\nGuess: in Paris\nProbability:",
  ]);
  assertEquals(scores, [0.85]);
});

Deno.test("verbalized: 2s1g asks for the probability once the guess stands", async () => {
  const { prompts: [prompt] } = await ask({ style: "2s1g" }, () => " 1");
  assertEquals(
    prompt,
    "Provide your best guess for the following question. Give ONLY the guess, no other words or explanation.\n\n" +
      `For example:\n\nGuess: <most likely guess, ${GUESS}\n\nThe question is: Where is the tower?\n\n` +
      "Guess: in Paris\n\nProvide the probability that your guess is correct. Give ONLY the probability, no other " +
      "words or explanation.\n\nFor example:\n\n" +
      `Probability: <the probability between 0.0 and 1.0 that your guess ${PROBABILITY}\n\nProbability:`,
  );
});

Deno.test("verbalized: vrbal goes on from the answer as the model gave it", async () => {
  const { prompts: [prompt] } = await ask({ style: "vrbal" }, () => " 0.5");
  assertEquals(
    prompt.split("\n\nProvide the probability that your guess")[0],
    `${ROW.prompt}${ROW.context}\nAnswer: in Paris`,
  );
});

for (const count of [2, 4]) {
  Deno.test(`verbalized: 1s${count}g asks for ${count} guesses, of which the answer is the first`, async () => {
    const { prompts: [prompt], scores } = await ask(
      { style: `1s${count}g` as "1s2g" },
      () => " 70%\nG2: Rome\nP2: 0.1",
    );
    assertStringIncludes(
      prompt,
      `Provide your ${count} best guesses and the probability that each is correct`,
    );
    assertStringIncludes(
      prompt,
      `G${count}: <${count === 2 ? "second" : "fourth"} most likely guess, ${GUESS}`,
    );
    assertStringIncludes(
      prompt,
      `P${count}: <the probability between 0.0 and 1.0 that G${count} ${PROBABILITY}`,
    );
    assert(!prompt.includes(`G${count + 1}`));
    assert(prompt.endsWith("\n\nG1: in Paris\nP1:"));
    assertEquals(scores, [0.7]);
  });

  Deno.test(`verbalized: 2s${count}g has the model write ${count - 1} other guesses before it asks`, async () => {
    const others = Array.from(
      { length: count },
      (_, index) => index === 0 ? " Rome" : `G${index + 2}: Oslo ${index}`,
    );
    const { prompts, scores } = await ask(
      { style: `2s${count}g` as "2s2g" },
      (prompt) => prompt.endsWith("P1:") ? " .25\nP2: 0.5" : others.join("\n"),
    );
    assertEquals(prompts.length, 2);
    assert(prompts[0].endsWith("\n\nG1: in Paris\nG2:"));
    const written = others.slice(0, count - 1).join("\n").trim();
    assertStringIncludes(
      prompts[1],
      `\n\nG1: in Paris\nG2: ${written}\n\nProvide the probability that each of your guesses`,
    );
    assertEquals(scores, [0.25]);
  });
}

Deno.test("verbalized: 2s1CoT has the model explain itself first", async () => {
  const { prompts, scores } = await ask(
    { style: "2s1CoT" },
    (prompt) => prompt.endsWith("Explanation:") ? " It is iron.\n\nGuess: in Rome" : " 0",
  );
  assertStringIncludes(
    prompts[0],
    "Before giving your answer, provide a step-by-step explanation of your thought process.",
  );
  assertStringIncludes(
    prompts[1],
    "\n\nExplanation: It is iron.\n\nGuess: in Paris\n\nProvide the probability",
  );
  assertEquals(scores, [0]);
});

for (const style of VERBALIZED_STYLES) {
  Deno.test(`verbalized: ${style} shows neither the right answer nor, but for vrbal, worked examples, and keeps the order`, async () => {
    const rows = ["a", "b", "c"].map((output) => ({ ...ROW, id: output, output }));
    const sure: Record<string, string> = { a: " 0.1", b: " perhaps", c: " 0.3" };
    const { prompts, scores } = await ask({ style }, (prompt) => {
      const [, output] = /(?:Guess|G1|Answer): ([abc])\b(?!.*(?:Guess|G1|Answer): [abc]\b)/s.exec(prompt) ??
        [];
      return sure[output] ?? " words";
    }, rows);
    assertEquals(scores, [0.1, null, 0.3]);
    for (const prompt of prompts) {
      assert(!prompt.includes(ROW.target));
      assertEquals(prompt.includes("Is this shown?"), style === "vrbal");
    }
  });
}

Deno.test("verbalized speaks through the model's chat template where answers are given in it", async () => {
  const model = new FakeModel({ answer: () => " 0.5" });
  const turns: (readonly ChatMessage[])[] = [];
  const chatting = Object.assign(model, {
    tokenizer: {
      ...model.tokenizer,
      chat(messages: readonly ChatMessage[]) {
        turns.push(messages);
        return model.tokenizer.encode(messages.map(({ role }) => role).join(" "));
      },
    },
  });
  const context = { rng: createRng(1), batchSize: 2, progress: { update() {} } };
  for (const chat of [true, false]) {
    const scores = verbalized.predict(chatting, [ROW], { ...context, options: { style: "2s1g" }, chat });
    assertEquals(await Array.fromAsync(scores), [0.5]);
  }
  assertEquals(turns.map((messages) => messages.map(({ role }) => role)), [["user", "assistant", "user"]]);
  assertEquals(turns[0][1].content, "Guess: in Paris");
});

Deno.test("verbalized refuses a question that leaves no room for a reply, naming the row", async () => {
  const model = new FakeModel({ contextLength: 60 });
  const context = {
    options: verbalized.defaults,
    rng: createRng(1),
    batchSize: 2,
    progress: { update() {} },
  };
  const error = await assertRejects(
    () => Array.fromAsync(verbalized.predict(model, [ROW], context)),
    UserError,
  );
  assertStringIncludes(error.where, "row 7");
});

Deno.test("verbalized refuses an unknown style, with those there are", async () => {
  const error = await assertRejects(() => ask({ style: "3s1g" as "1s1g" }, () => ""), UserError);
  assertStringIncludes(error.fix, "vrbal, 1s1g, 1s2g, 1s4g, 2s1CoT, 2s1g, 2s2g, 2s4g");
});

for (
  const [text, expected] of [
    ["0.85", 0.85],
    [" 0.85 ", 0.85],
    ["0.85.", 0.85],
    [".5", 0.5],
    ["1", 1],
    ["1.0", 1],
    ["0", 0],
    ["85%", 0.85],
    ["85 %", 0.85],
    ["100%", 1],
    ["85", null],
    ["1.01", null],
    ["101%", null],
    ["-0.5", null],
    ["0.8 or 0.9", null],
    ["0.8-0.9", null],
    ["about 0.8", null],
    ["<0.8>", null],
    ["1e-3", null],
    ["high", null],
    ["", null],
  ] as const
) {
  Deno.test(`parseProbability() reads ${JSON.stringify(text)} as ${expected}`, () => {
    assertEquals(parseProbability(text), expected);
  });
}
