import { assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type Continuation,
  createRng,
  type Generation,
  type GenerationOptions,
  type Label,
  type LabelRequest,
  oe,
  sampling,
  type SamplingOptions,
  UserError,
} from "@credence/credence";
import { FakeModel, testMethod } from "@credence/credence/testing";

testMethod(sampling);

/** Writes other answers each time it is asked the same: the n-th sample of a question is the n-th of its list. */
class Sampler extends FakeModel {
  readonly #answers: Readonly<Record<string, readonly (readonly [text: string, logprob: number])[]>>;
  readonly calls: GenerationOptions[] = [];

  constructor(answers: Readonly<Record<string, readonly (readonly [string, number])[]>>) {
    super();
    this.#answers = answers;
  }

  override async *generate(prompts: readonly (readonly number[])[], options: GenerationOptions) {
    this.calls.push(options);
    const asked: Record<string, number> = {}, all: Continuation[] = [];
    for (const [index, prompt] of prompts.entries()) {
      const text = this.tokenizer.decode(prompt);
      const [answer, logprob] = this.#answers[text][asked[text] = (asked[text] ?? -1) + 1];
      const tokens = this.tokenizer.encode(answer);
      all.push({ index, tokens, logprob, drawn: tokens.length + 1 });
    }
    // A model is done with the last ones first, if they are short.
    for (const continuation of all.reverse()) yield await Promise.resolve(continuation);
  }
}

const row = (question: string, output: string): Generation => ({
  id: question,
  split: "test",
  prompt: "",
  context: question,
  targetPrompt: "\nAnswer:",
  target: "never looked at",
  output,
});

interface Given extends Partial<SamplingOptions> {
  readonly label?: (answer: LabelRequest) => Promise<Label>;
}

function predict(model: FakeModel, rows: readonly Generation[], { label, ...options }: Given) {
  return Array.fromAsync(sampling.predict(model, rows, {
    options: { ...sampling.defaults, ...options },
    rng: createRng(1),
    batchSize: 2,
    progress: { update() {} },
    style: oe,
    label,
  }));
}

const ANSWERS = {
  "one\nAnswer:": [["Paris", -2], ["paris", -4], ["Rome", -6], ["Paris", -2]],
  "two\nAnswer:": [["no", -1], ["no", -1], ["yes", -1], ["no", -1]],
} as const;
const ROWS = [row("one", "Paris"), row("two", "yes")];
const ignoringCase = ({ answer, target }: LabelRequest) =>
  Promise.resolve<Label>(answer.toLowerCase() === target.toLowerCase() ? 1 : 0);

Deno.test("sampling: counting is the share of samples that say what the answer says, row by row in order", async () => {
  const scores = await predict(new Sampler(ANSWERS), ROWS, { samples: 4, label: ignoringCase });
  assertEquals(scores, [3 / 4, 1 / 4]);
});

Deno.test("sampling: without a labeler, answers say the same if their texts are the same", async () => {
  assertEquals(await predict(new Sampler(ANSWERS), ROWS, { samples: 4 }), [2 / 4, 1 / 4]);
});

Deno.test("sampling: likelihood weighs each sample by the tokens that were drawn, normalised by their number", async () => {
  const options = { samples: 4, confidence: "likelihood", label: ignoringCase } as const;
  const [first, second] = await predict(new Sampler(ANSWERS), ROWS, options);
  // One word and the token that ends it.
  const weight = (logprob: number) => Math.exp(logprob / 2);
  const agreed = 2 * weight(-2) + weight(-4);
  assertAlmostEquals(first as number, agreed / (agreed + weight(-6)), 1e-12);
  assertAlmostEquals(second as number, 1 / 4, 1e-12);
});

Deno.test("sampling: the labeler is asked once about each other text, with the answer as its target", async () => {
  const asked: LabelRequest[] = [];
  await predict(new Sampler(ANSWERS), ROWS.slice(0, 1), {
    samples: 4,
    label: (answer) => {
      asked.push(answer);
      return Promise.resolve(0);
    },
  });
  assertEquals(asked.map(({ answer }) => answer).sort(), ["Rome", "paris"]);
  for (const { target, question, twoAnswers } of asked) {
    assertEquals([target, question, twoAnswers], ["Paris", "one\nAnswer:", true]);
  }
});

Deno.test("sampling: an empty answer says what empty samples say, whatever a labeler finds in it", async () => {
  const answers = {
    "one\nAnswer:": [["", -1], ["Rome", -1]],
    "two\nAnswer:": [["", -1], ["yes", -1]],
  } as const;
  const label = ({ answer, target }: LabelRequest) => Promise.resolve<Label>(answer.includes(target) ? 1 : 0);
  const rows = [row("one", ""), row("two", "yes")];
  assertEquals(await predict(new Sampler(answers), rows, { label, samples: 2 }), [0.5, 0.5]);
});

Deno.test("sampling: samples that the labeler is undecided about do not count; with none left there is no confidence", async () => {
  const undecided = ({ answer }: LabelRequest) => Promise.resolve<Label>(answer === "Rome" ? 0 : null);
  const answers = {
    "one\nAnswer:": ANSWERS["one\nAnswer:"],
    "two\nAnswer:": [["a", -1], ["b", -1], ["c", -1], ["d", -1]] as const,
  };
  const scores = await predict(new Sampler(answers), ROWS, {
    samples: 4,
    label: undecided,
  });
  assertEquals(scores, [2 / 3, null]);
});

Deno.test("sampling draws as its options say, 10 times with a mass of 0.95 unless told otherwise", async () => {
  const model = new Sampler({ "one\nAnswer:": Array(10).fill(["Paris", -1]) });
  await predict(model, ROWS.slice(0, 1), {});
  await predict(model, ROWS.slice(0, 1), { samples: 1, temperature: 0.5, topP: 1, sampleTokens: 7 });
  const drawn = model.calls.map((
    { maxNewTokens, temperature, topP, batchSize },
  ) => [maxNewTokens, temperature, topP, batchSize]);
  assertEquals(drawn, [[30, 1, 0.95, 2], [7, 0.5, 1, 2]]);
  assertEquals(model.calls[0].seed, model.calls[1].seed);
});

for (
  const options of [
    { samples: 0 },
    { samples: 1.5 },
    { temperature: 0 },
    { topP: 0 },
    { topP: 1.1 },
    { sampleTokens: -1 },
    { confidence: "mass" as "counting" },
  ]
) {
  Deno.test(`sampling refuses ${JSON.stringify(options)}`, async () => {
    const error = await assertRejects(() => predict(new Sampler({}), [], options), UserError);
    assertEquals(error.kind, "usage");
    assertStringIncludes(error.what, Object.keys(options)[0]);
  });
}

Deno.test("sampling needs the style of the prompts, and says so", async () => {
  const context = { options: sampling.defaults, rng: createRng(1), batchSize: 2, progress: { update() {} } };
  await assertRejects(
    () => Array.fromAsync(sampling.predict(new FakeModel(), ROWS, context)),
    UserError,
    "style",
  );
});
