/** The kit for plugin authors must catch what it promises to catch, so here broken plugins are given to it. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import {
  FakeModel,
  testDataset,
  testLabeler,
  testMethod,
  testMetric,
  testModelFamily,
  testPromptStyle,
} from "@credence/credence/testing";
import { UserError } from "../../core/errors.ts";
import type { Question } from "../../core/records.ts";
import { createRng } from "../../core/rng.ts";
import type {
  Dataset,
  Labeler,
  LoraOptions,
  Method,
  Metric,
  ModelFamily,
  OptimizerOptions,
  Plugin,
  PromptStyle,
  TrainableMethod,
  TrainingExample,
  TransformerDescription,
} from "../../core/types.ts";
import { all, withFolder } from "../plugins/_folders.ts";
import { question } from "./_samples.ts";

/** Runs the tests that a function of the kit declares; resolves to the names of those that fail. */
async function failures(declare: () => void): Promise<string[]> {
  const declared: [string, () => unknown][] = [];
  const { test } = Deno;
  Object.assign(Deno, { test: (name: string, fn: () => unknown) => declared.push([name, fn]) });
  try {
    declare();
  } finally {
    Object.assign(Deno, { test });
  }
  assert(declared.length > 0, "nothing was declared");
  const failed: string[] = [];
  for (const [name, fn] of declared) {
    try {
      await fn();
    } catch {
      failed.push(name);
    }
  }
  return failed;
}

const base = { name: "acme/sample", version: 1, description: "A plugin to be tested", defaults: {} };

// Every plugin.

const mean: Metric = {
  ...base,
  kind: "metric",
  better: "higher",
  compute: ({ pCorrect, correct, wrong, n }) =>
    pCorrect.reduce((sum, p, i) => sum + p * (correct[i] + wrong[i]), 0) / n,
};

const ofMetric = (metric: Metric, undefinedFor: readonly (readonly [0 | 1, number])[][] = []) =>
  failures(() =>
    testMetric(metric, {
      cases: [{ pairs: [[1, 0.5], [0, 1]], expected: 0.75 }],
      undefined: undefinedFor,
    })
  );

const REGISTERED = "acme/sample: can be registered, and its options survive a round trip";

for (
  const [what, broken] of [
    ["no version", { ...mean, version: undefined }],
    ["a name of several words", { ...mean, name: "acme sample" }],
    ["no description", { ...mean, description: "" }],
    ["an option that JSON cannot hold", { ...mean, defaults: { limit: Infinity } }],
  ] as [string, unknown][]
) {
  Deno.test(`the kit catches a plugin with ${what}`, async () => {
    const failed = await ofMetric(broken as Metric);
    assertEquals(failed, [
      `${(broken as Plugin).name}: can be registered, and its options survive a round trip`,
    ]);
  });
}

// Metrics.

Deno.test("testMetric() has nothing to say against a sound metric", async () => {
  assertEquals(await ofMetric(mean), []);
});

Deno.test("testMetric() catches a value that is off by a hair", async () => {
  const broken: Metric = { ...mean, compute: (tally) => mean.compute(tally, {}) + 1e-9 };
  assertEquals(await ofMetric(broken), ["acme/sample: 1@0.5 0@1 gives 0.75"]);
});

Deno.test("testMetric() catches a metric that forgets how many answers have a confidence", async () => {
  const broken: Metric = {
    ...mean,
    compute: ({ pCorrect }) => pCorrect.reduce((sum, p) => sum + p, 0) / pCorrect.length,
  };
  const failed = await failures(() =>
    testMetric(broken, { cases: [{ pairs: [[1, 0.5], [0, 0.5], [1, 0.2]], expected: 0.4 }] })
  );
  assertEquals(failed, ["acme/sample: 1@0.5 0@0.5 1@0.2 gives 0.4"]);
});

Deno.test("testMetric() catches a metric that changes what it was given", async () => {
  const broken: Metric = {
    ...mean,
    compute(tally) {
      const value = mean.compute(tally, {});
      tally.pCorrect.reverse();
      return value;
    },
  };
  assertEquals(await ofMetric(broken), ["acme/sample: 1@0.5 0@1 gives 0.75"]);
});

Deno.test("testMetric() catches a metric that gives NaN for confidences of 0 and 1", async () => {
  const broken: Metric = { ...mean, compute: ({ pCorrect }) => pCorrect.includes(0) ? NaN : 0.75 };
  assertEquals(await ofMetric(broken), ["acme/sample: counts confidences of exactly 0 and 1, and ties"]);
});

Deno.test("testMetric() catches a metric that has a value where it must be undefined", async () => {
  assertEquals(await ofMetric(mean, [[[1, 0.5]]]), ["acme/sample: is undefined for 1@0.5"]);
});

// Labelers.

const exact: Labeler = {
  ...base,
  kind: "labeler",
  label: ({ answer, target }) => answer === "" ? null : answer === target ? 1 : 0,
};

const CASES = {
  correct: [{ answer: "a", target: "a" }],
  wrong: [{ answer: "b", target: "a" }],
  undecided: [{ answer: "", target: "a" }],
};

Deno.test("testLabeler() has nothing to say against a sound labeler", async () => {
  assertEquals(await failures(() => testLabeler(exact, CASES)), []);
});

Deno.test("testLabeler() catches a wrong verdict", async () => {
  const broken: Labeler = { ...exact, label: ({ answer }) => answer === "" ? null : 1 };
  assertEquals(await failures(() => testLabeler(broken, CASES)), ['acme/sample: "b" against "a" is 0']);
});

Deno.test("testLabeler() catches a labeler that changes its mind", async () => {
  let calls = 0;
  const broken: Labeler = {
    ...exact,
    label: (answer, options) => calls++ % 2 ? 0 : exact.label!(answer, options),
  };
  assertEquals((await failures(() => testLabeler(broken, CASES))).length, 2);
});

Deno.test("testLabeler() catches a labeler that changes its input", async () => {
  const broken: Labeler = {
    ...exact,
    label: (answer, options) =>
      exact.label!(Object.assign(answer, { target: answer.target.trim() }), options),
  };
  assertEquals((await failures(() => testLabeler(broken, CASES))).length, 3);
});

const BOTH = "acme/sample: there is a right and a wrong case, and none stands twice";

Deno.test("testLabeler() asks for a case of each verdict, and for none twice", async () => {
  assertEquals(await failures(() => testLabeler(exact, { ...CASES, wrong: [] })), [BOTH]);
  const twice = { ...CASES, correct: [...CASES.correct, ...CASES.correct] };
  assertEquals(await failures(() => testLabeler(exact, twice)), [BOTH]);
});

// Prompt styles.

const plain: PromptStyle = {
  ...base,
  kind: "prompt-style",
  maxNewTokens: 5,
  render: ({ id, split, question, answer }, shots) => ({
    id,
    split,
    prompt: shots.map(({ question, answer }) => `${question} ${answer}\n`).join(""),
    context: question,
    targetPrompt: "",
    target: String(answer),
  }),
  cleanUp: (output) => output.trim(),
};

const ofStyle = (style: PromptStyle) =>
  failures(() =>
    testPromptStyle(style, {
      renders: [{
        question: question("a"),
        shots: [question("c"), question("b")],
        text: "What is c? It is c.\nWhat is b? It is b.\nWhat is a?",
        target: "It is a.",
      }],
      cleans: [[" x\n", "x"]],
    })
  );

const RENDERS = "acme/sample: renders question a with 2 worked examples";

Deno.test("testPromptStyle() has nothing to say against a sound style", async () => {
  assertEquals(await ofStyle(plain), []);
});

for (
  const [what, render] of [
    ["another text", (...args) => ({ ...plain.render(...args), targetPrompt: " ?" })],
    ["another target", (...args) => ({ ...plain.render(...args), target: "a" })],
    ["another id", (...args) => ({ ...plain.render(...args), id: "b" })],
    ["another split", (...args) => ({ ...plain.render(...args), split: "train" })],
    [
      "its input changed",
      (asked, shots, options) => plain.render(asked, (shots as Question[]).sort(), options),
    ],
  ] as [string, PromptStyle["render"]][]
) {
  Deno.test(`testPromptStyle() catches a style that gives ${what}`, async () => {
    assertEquals(await ofStyle({ ...plain, render }), [RENDERS]);
  });
}

Deno.test("testPromptStyle() catches a clean-up that leaves blanks", async () => {
  assertEquals(await ofStyle({ ...plain, cleanUp: (output) => output }), [
    'acme/sample: the answer in " x\\n" is "x"',
  ]);
});

Deno.test("testPromptStyle() catches a style that takes half an answer for all of it", async () => {
  assertEquals(await ofStyle({ ...plain, isComplete: (output) => output.length > 1 }), []);
  assertEquals(await ofStyle({ ...plain, isComplete: () => true }), [
    'acme/sample: what it takes for complete in " x\\n" is the answer',
  ]);
});

// Datasets.

const ofRows = (rows: () => readonly Question[], more: Partial<Dataset> = {}) => {
  const dataset: Dataset = {
    ...base,
    kind: "dataset",
    tags: ["eval"],
    splits: ["test"],
    async *read() {
      yield* await Promise.resolve(rows());
    },
    ...more,
  };
  return failures(() => testDataset(dataset, { rows: { test: 2 } }));
};

const SOUND = "acme/sample: the test split has 2 rows, all sound";
const TWICE = "acme/sample: reading the test split twice gives the same rows";

Deno.test("testDataset() has nothing to say against a sound dataset", async () => {
  const shotPool = () => Promise.resolve([question("shot")]);
  assertEquals(await ofRows(() => [question("a"), question("b")], { shotPool }), []);
});

for (
  const [what, rows] of [
    ["a row too few", [question("a")]],
    ["an id twice", [question("a"), question("a")]],
    ["a row of another split", [question("a"), question("b", { split: "train" })]],
    ["an answer that names no choice", [question("a"), question("b", { answer: 2, choices: ["x", "y"] })]],
  ] as [string, Question[]][]
) {
  Deno.test(`testDataset() catches ${what}`, async () => {
    assertEquals(await ofRows(() => rows), [SOUND]);
  });
}

Deno.test("testDataset() catches rows that differ from one reading to the next", async () => {
  let reads = 0;
  assertEquals(await ofRows(() => [question("a"), question(`b${reads++}`)]), [TWICE]);
});

Deno.test("testDataset() catches a worked example that is a question of the test split", async () => {
  const shotPool = () => Promise.resolve([question("b")]);
  assertEquals(await ofRows(() => [question("a"), question("b")], { shotPool }), [
    "acme/sample: no worked example is a question of the test split",
  ]);
});

// Model families.

const family: ModelFamily = {
  ...base,
  kind: "model",
  modelTypes: ["sample"],
  aliases: {},
  describe({ layers }) {
    if (layers === 0) throw new RangeError("no layers");
    return { layers } as TransformerDescription;
  },
};

const ofFamily = (plugin: ModelFamily) =>
  failures(() =>
    testModelFamily(plugin, {
      describes: [{
        config: { model_type: "sample", layers: 2 },
        expected: { layers: 2 } as TransformerDescription,
      }],
      refuses: [{ config: { layers: 0 }, message: "layers" }],
    })
  );

Deno.test("testModelFamily() has nothing to say against a sound family", async () => {
  assertEquals(await ofFamily(family), []);
});

Deno.test("testModelFamily() catches a wrong description, and a family that refuses nothing", async () => {
  const lax = () => ({ layers: 3 }) as TransformerDescription;
  assertEquals(await ofFamily({ ...family, describe: lax }), [
    "acme/sample: describes a sample of 2 layers",
    "acme/sample: refuses layers",
  ]);
});

// Methods, on the fake model.

const LORA: LoraOptions = { rank: 1, alpha: 1, dropout: 0, targetModules: [] };
const ADAMW: OptimizerOptions = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradientNorm: 1,
};

/** Tells answers by a word in them: trains the fake model's one weight, and reads it back. */
const reader: TrainableMethod = {
  ...base,
  kind: "method",
  async train(model, { train }, { maxSteps, folder, log }) {
    const adapter = await model.createAdapter(LORA, createRng(0));
    const trainer = model.createTrainer(adapter, ADAMW, 0);
    const examples = train.map(({ output, label }, id) => example(model, output, label as 0 | 1, id));
    while (trainer.step < maxSteps) {
      log(trainer.step, { loss: (await trainer.train([examples], 0.5)).choice });
    }
    await model.saveAdapter(adapter, folder);
    return folder;
  },
  async *predict(model, rows, { batchSize, checkpoint }) {
    const adapter = checkpoint === undefined ? undefined : await model.loadAdapter(checkpoint);
    const texts = rows.map(({ output }) => model.tokenizer.encode(output));
    for await (const [wrong, correct] of model.tokenLogits(texts, [0, 1], { batchSize, adapter })) {
      yield [wrong, correct];
    }
  },
};

function example(
  model: Pick<FakeModel, "tokenizer">,
  text: string,
  label: 0 | 1,
  id: number,
): TrainingExample {
  return {
    id,
    prefix: model.tokenizer.encode(text),
    branches: [[]],
    losses: [{ kind: "choice", branch: 0, tokens: [0, 1], label, smoothing: 0, weight: 1 }],
  };
}

const [PAIRS, LEARNS, AGREE] = [
  "acme/sample: gives a score for each row, untrained",
  "acme/sample: after training, right answers score higher than wrong ones",
  "acme/sample: two trainings with one seed agree",
];

const ofMethod = (method: Method) => failures(() => testMethod(method));

Deno.test("testMethod() has nothing to say against a method that learns", async () => {
  assertEquals(await ofMethod(reader), []);
});

Deno.test("testMethod() catches a method that does not learn", async () => {
  assertEquals(
    await ofMethod({
      ...reader,
      train: (...args) => reader.train(args[0], args[1], { ...args[2], maxSteps: 0 }),
    }),
    [
      LEARNS,
    ],
  );
});

Deno.test("testMethod() catches a method that leaves a row out", async () => {
  const broken: Method = {
    ...reader,
    predict: (model, rows, context) => reader.predict(model, rows.slice(1), context),
  };
  const failed = await ofMethod(broken);
  assert(failed.includes(PAIRS) && failed.includes(LEARNS), `${failed}`);
});

Deno.test("testMethod() catches logits that are not finite", async () => {
  const broken: Method = {
    ...reader,
    async *predict(...args) {
      for await (const score of reader.predict(...args)) {
        const [wrong, correct] = score as [number, number];
        yield [wrong / 0, correct];
      }
    },
  };
  assert((await ofMethod(broken)).includes(PAIRS));
});

/** The reader, with what it throws where there is no checkpoint. */
const refusing = (error: () => Error): TrainableMethod => ({
  ...reader,
  async *predict(model, rows, context) {
    if (context.checkpoint === undefined) throw error();
    yield* reader.predict(model, rows, context);
  },
});

const untrained = (kind: "usage" | "data") => () =>
  new UserError({ kind, what: "It is not trained", where: "test", fix: "train it" });

Deno.test("testMethod() takes it that a method says it has to be trained, and no other error", async () => {
  assertEquals(await ofMethod(refusing(untrained("usage"))), []);
  assertEquals(await ofMethod(refusing(untrained("data"))), [PAIRS]);
  assertEquals(await ofMethod(refusing(() => new TypeError("oops"))), [PAIRS]);
});

Deno.test("testMethod() catches a method whose trainings differ", async () => {
  let trainings = 0;
  const broken: Method = {
    ...reader,
    train: (model, rows, context) => reader.train(model, rows, { ...context, maxSteps: 20 + trainings++ }),
  };
  assertEquals(await ofMethod(broken), [AGREE]);
});

Deno.test("testMethod() catches a method that changes its rows", async () => {
  const broken: Method = {
    ...reader,
    train: (model, rows, context) => {
      (rows.train as unknown[]).reverse();
      return reader.train(model, rows, context);
    },
  };
  assertEquals(await ofMethod(broken), [LEARNS, AGREE]);
});

Deno.test("the kit's first test of every kind is that the plugin can be registered", async () => {
  const named = { ...exact, version: 0 };
  assertEquals(await failures(() => testLabeler(named, CASES)), [REGISTERED]);
});

// The fake model.

Deno.test("FakeModel's tokenizer gives back any text that does not end in blanks", () => {
  const { tokenizer } = new FakeModel();
  for (const text of ["", "one", " two  words", "a\n\nb c\nd"]) {
    assertEquals(tokenizer.decode(tokenizer.encode(text)), text);
  }
});

Deno.test("FakeModel's tokenizer gives a word one id, wherever it stands", () => {
  const { tokenizer } = new FakeModel();
  const [first] = tokenizer.encode("a b a");
  assertEquals(tokenizer.encode("a"), [first]);
  assertEquals(tokenizer.answerToken("x y ii"), tokenizer.encode(" ii")[0]);
});

Deno.test("FakeModel.generate() writes what it is told to, up to the limit, once for each prompt", async () => {
  const model = new FakeModel({ answer: (prompt) => `${prompt} indeed it is so` });
  const prompts = ["a", "b"].map((text) => model.tokenizer.encode(text));
  const options = { maxNewTokens: 3, batchSize: 1, temperature: 0, topP: 1, seed: 0 };
  const written = await all(model.generate(prompts, options));
  assertEquals(written.map(({ index, tokens }) => [index, model.tokenizer.decode(tokens)]), [
    [0, "a indeed it"],
    [1, "b indeed it"],
  ]);
});

Deno.test("FakeModel knows nothing without an adapter, and nothing with a fresh one", async () => {
  const model = new FakeModel({ evidence: () => 5 });
  const sequences = [model.tokenizer.encode("x")];
  const adapter = await model.createAdapter(LORA);
  assertEquals(await all(model.tokenLogits(sequences, [0, 1], { batchSize: 1 })), [[0, 0]]);
  assertEquals(await all(model.tokenLogits(sequences, [0, 1], { batchSize: 1, adapter })), [[0, 0]]);
});

const evidence = (text: string) => text.includes("good") ? 1 : -1;

/** A model with an adapter that was trained to tell good from bad. */
async function trained() {
  const model = new FakeModel({ evidence });
  const adapter = await model.createAdapter(LORA);
  const trainer = model.createTrainer(adapter, ADAMW, 0);
  const examples = [example(model, "good", 1, 0), example(model, "bad", 0, 1)];
  const before = await trainer.evaluate(examples);
  for (let step = 0; step < 10; step++) await trainer.train([examples], 0.5);
  return { model, adapter, trainer, before, after: await trainer.evaluate(examples) };
}

Deno.test("FakeModel's trainer lowers the loss from log 2, that of not knowing, and counts its steps", async () => {
  const { trainer, before, after } = await trained();
  assertAlmostEquals(before.choice, Math.log(2), 1e-12);
  assert(after.choice < before.choice / 2, `${after.choice}`);
  assertEquals(trainer.step, 10);
});

Deno.test("FakeModel's trained adapter speaks for what the evidence speaks for, also once saved and loaded", () =>
  withFolder(async (folder) => {
    const { model, adapter } = await trained();
    const sequences = ["good", "bad"].map((text) => model.tokenizer.encode(text));
    const logits = (of: typeof adapter) =>
      all(model.tokenLogits(sequences, [0, 1], { batchSize: 1, adapter: of }));
    const [[, good], [, bad]] = await logits(adapter);
    assert(good > 0.5 && bad < -0.5, `${good} and ${bad}`);
    await model.saveAdapter(adapter, folder);
    assertEquals(await logits(await model.loadAdapter(folder)), await logits(adapter));
  }));

Deno.test("FakeModel's trainer takes up the step that another one saved", () =>
  withFolder(async (folder) => {
    const { model, adapter, trainer } = await trained();
    await trainer.save(folder);
    const other = model.createTrainer(adapter, ADAMW, 0);
    await other.load(folder);
    assertEquals(other.step, 10);
  }));

Deno.test("FakeModel.loadAdapter() refuses a folder without an adapter", () =>
  withFolder(async (folder) => {
    await assertRejects(() => new FakeModel().loadAdapter(folder), Error, "no such file or folder");
  }));

Deno.test("FakeModel's hidden states are the evidence of the text up to the span's end, larger in higher layers", async () => {
  const model = new FakeModel({ evidence: (text) => text.includes("good") ? 1 : -1 });
  const tokens = model.tokenizer.encode("bad good");
  const states = await Array.fromAsync(
    model.hiddenStates([{ tokens, first: 0, end: 1 }, { tokens, first: 0, end: 2 }], {
      layers: [0, -1],
      batchSize: 1,
    }),
  );
  assertEquals(states.map((state) => [...state]), [[-1, 1, 0, 0, -3, 3, 0, 0], [1, 1, 0, 0, 3, 3, 0, 0]]);
  assertEquals(states[0].length, 2 * model.width);
});

Deno.test("FakeModel's classifiers learn to tell features apart, alone and with an adapter, and are saved", async () => {
  const model = new FakeModel({ evidence: (text) => text.includes("good") ? 1 : -1 });
  const classifier = await model.createClassifier({ inputs: 4, hidden: [] });
  const features = [Float32Array.of(1, 1, 0, 0), Float32Array.of(-1, 1, 0, 0)];
  const trainer = model.createClassifierTrainer(classifier);
  const batch = { features, labels: [1, 0] as const, learningRate: 1 };
  const [first, second] = await trainer.train([batch, batch]);
  assert(first.choice > second.choice && first.gradientNorm > 0, `${first.choice} ${second.choice}`);
  const folder = await Deno.makeTempDir();
  await classifier.save(folder);
  const logits = await (await model.loadClassifier(folder)).logits(features);
  assertEquals(logits, await classifier.logits(features));
  assert(logits[0][1] > 0 && logits[1][1] < 0);
  const adapter = await model.createAdapter(LORA);
  const losses = [{ kind: "class", branch: 0, first: 0, end: 1, label: 1, weight: 1 }] as const;
  const together = model.createTrainer(adapter, ADAMW, 0, { classifier });
  const examples = [{ id: 0, prefix: model.tokenizer.encode("good"), branches: [[]], losses }];
  const before = (await together.train([examples], 1)).choice;
  assert((await together.evaluate(examples)).choice < before);
  await Deno.remove(folder, { recursive: true });
});
