import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { OpenLabeler } from "../labelers.ts";
import { resolveOptions } from "../options.ts";
import { type Label, type Labeled, promptText, type Question, type Split } from "../records.ts";
import { Registry } from "../registry.ts";
import { createRng } from "../rng.ts";
import { UserError } from "../errors.ts";
import { tally } from "../tally.ts";
import { probabilityOf } from "../temperature.ts";
import type {
  Dataset,
  DatasetRequest,
  Labeler,
  LabelerContext,
  LabelRequest,
  Method,
  Metric,
  ModelFamily,
  Options,
  Plugin,
  PromptStyle,
  Score,
  TransformerDescription,
} from "../types.ts";
import { FakeModel } from "./fake_model.ts";

/** What a dataset is tested with. */
export interface DatasetCases {
  /** How it is asked; no argument and no data folder by default. */
  readonly request?: Partial<DatasetRequest>;
  /** Number of rows of each split. */
  readonly rows: Readonly<Partial<Record<Split, number>>>;
}

/** Declares the tests of a dataset: ids, answers and splits are sound, and reading twice gives the same. */
export function testDataset<O extends Options>(
  dataset: Dataset<O>,
  { request = {}, rows }: DatasetCases,
): void {
  testPlugin(dataset as unknown as Plugin);
  const asked = { argument: "", options: dataset.defaults, ...request } as DatasetRequest<O>;
  const read = async (split: Split) => {
    const all = [];
    for await (const row of dataset.read!(split, asked)) all.push(row);
    return all;
  };
  for (const [split, count] of Object.entries(rows) as [Split, number][]) {
    Deno.test(`${dataset.name}: the ${split} split has ${count} rows, all sound`, async () => {
      const all = await read(split);
      assertEquals(all.length, count);
      assertEquals(new Set(all.map(({ id }) => id)).size, count, "ids are not unique");
      for (const row of all) {
        assertEquals(row.split, split);
        if ("question" in row && typeof row.answer === "number") {
          assert(
            row.choices?.[row.answer] !== undefined,
            `answer ${row.answer} of ${row.id} names no choice`,
          );
        }
      }
    });
    Deno.test(`${dataset.name}: reading the ${split} split twice gives the same rows`, async () => {
      assertEquals(await read(split), await read(split));
    });
  }
  if (dataset.shotPool) {
    Deno.test(`${dataset.name}: no worked example is a question of the test split`, async () => {
      if (!dataset.splits.includes("test")) return;
      const testIds = new Set((await read("test")).map(({ id }) => id));
      for (const { id } of await dataset.shotPool!(asked)) assert(!testIds.has(id), `${id} is in both`);
    });
  }
}

/** What a prompt style is tested with. */
export interface PromptStyleCases {
  /** A question, its worked examples, the text the model must see and the answer it should give. */
  readonly renders: readonly {
    readonly question: Question;
    readonly shots?: readonly Question[];
    readonly text: string;
    readonly target: string;
  }[];
  /** What a model wrote, and the answer in it. */
  readonly cleans: readonly (readonly [written: string, answer: string])[];
}

/** Declares the tests of a prompt style: exact texts, and no change to its input. */
export function testPromptStyle<O extends Options>(
  style: PromptStyle<O>,
  { renders, cleans }: PromptStyleCases,
): void {
  testPlugin(style as unknown as Plugin);
  for (const { question, shots = [], text, target } of renders) {
    Deno.test(`${style.name}: renders question ${question.id} with ${shots.length} worked examples`, () => {
      const prompt = style.render(
        deepFreeze(structuredClone(question)),
        deepFreeze(structuredClone([...shots])),
        style.defaults,
      );
      assertEquals(promptText(prompt), text);
      assertEquals(prompt.target, target);
      assertEquals([prompt.id, prompt.split], [question.id, question.split]);
    });
  }
  for (const [written, answer] of cleans) {
    Deno.test(`${style.name}: the answer in ${JSON.stringify(written)} is ${JSON.stringify(answer)}`, () => {
      assertEquals(style.cleanUp(written, style.defaults), answer);
    });
    if (!style.isComplete) continue;
    Deno.test(`${style.name}: what it takes for complete in ${JSON.stringify(written)} is the answer`, () => {
      for (let end = 0; end < written.length; end++) {
        const part = written.slice(0, end);
        if (!style.isComplete!(part, style.defaults)) continue;
        assertEquals(style.cleanUp(part, style.defaults), answer, `after ${JSON.stringify(part)}`);
      }
    });
  }
}

/** An answer to be labelled. */
export interface LabelerCase {
  /** After clean-up. */
  readonly answer: string;
  /** The right answer. */
  readonly target: string;
  /** "" by default. */
  readonly question?: string;
}

/** What a labeler is tested with: at least one case of right and of wrong. */
export interface LabelerCases<O extends Options> {
  /** Cases that must get 1. */
  readonly correct: readonly LabelerCase[];
  /** Cases that must get 0. */
  readonly wrong: readonly LabelerCase[];
  /** Cases that must get null. */
  readonly undecided?: readonly LabelerCase[];
  /** Options that differ from the defaults. */
  readonly options?: Partial<O>;
  /** What one that is opened may use, besides an empty folder and a {@linkcode FakeModel}. */
  readonly context?: Partial<LabelerContext>;
}

/** Declares the tests of a labeler: its verdicts, given twice, and no change to its input. */
export function testLabeler<O extends Options>(labeler: Labeler<O>, cases: LabelerCases<O>): void {
  testPlugin(labeler as unknown as Plugin);
  const { correct, wrong, undecided = [] } = cases;
  const options = resolveOptions(labeler, { ...cases.options });
  const all = [
    ...correct.map((answer) => ({ answer, label: 1 as const })),
    ...wrong.map((answer) => ({ answer, label: 0 as const })),
    ...undecided.map((answer) => ({ answer, label: null })),
  ];
  Deno.test(`${labeler.name}: there is a right and a wrong case, and none stands twice`, () => {
    assert(correct.length > 0 && wrong.length > 0, "give at least one case of each");
    assertEquals(new Set(all.map(({ answer }) => JSON.stringify(answer))).size, all.length);
  });
  for (const { answer: { answer, target, question = "" }, label } of all) {
    Deno.test(`${labeler.name}: ${JSON.stringify(answer)} against ${JSON.stringify(target)} is ${label}`, async () => {
      const asked = Object.freeze({ question, target, answer });
      await withFolder(async (cacheDir) => {
        const open = await OpenLabeler.open(labeler, options, {
          ...labelerContext(cacheDir),
          ...cases.context,
        });
        try {
          await open.prepare([asked], { update() {} });
          assertEquals(await open.label(asked), label);
          assertEquals(await open.label(asked), label, "a second look gave another label");
        } finally {
          await open.close();
        }
      });
    });
  }
}

function labelerContext(cacheDir: string): LabelerContext {
  const alone = () => Promise.reject(new Error("there are no other labelers in this test"));
  return {
    argument: "",
    cacheDir,
    warn() {},
    model: () => Promise.resolve(new FakeModel()),
    describeModel: (name) => Promise.resolve(name),
    labeler: alone,
    describeLabeler: alone,
  };
}

/** What a method is tested with. */
export interface MethodCases<O extends Options> {
  /** Options under which a few steps suffice. */
  readonly options?: Partial<O>;
  /** Steps to train; 20 by default. */
  readonly maxSteps?: number;
}

/** Asks for a few words. */
const WORDS: PromptStyle = {
  kind: "prompt-style",
  name: "words",
  version: 1,
  description: "A few words",
  defaults: {},
  maxNewTokens: 5,
  render({ id, split, question }) {
    return { id, split, prompt: "", context: question, targetPrompt: "\nAnswer:", target: "" };
  },
  cleanUp: (output) => output.trim(),
};

/** Declares the tests of a method, on a fake model: it gives a score a row and, if it trains, learns and repeats itself. */
export function testMethod<O extends Options>(
  method: Method<O>,
  { options = {}, maxSteps = 20 }: MethodCases<O> = {},
): void {
  testPlugin(method as unknown as Plugin);
  const rows = (split: Split) => Array.from({ length: 12 }, (_, index) => fakeRow(split, index));
  const predict = async (model: FakeModel, checkpoint?: string) => {
    const scores: Score[] = [];
    const context = {
      options: resolveOptions(method, { ...options }),
      rng: createRng(1),
      batchSize: 5,
      progress: { update() {} },
      style: WORDS,
      label: ({ answer, target }: LabelRequest): Promise<Label> => Promise.resolve(answer === target ? 1 : 0),
      checkpoint,
    };
    for await (const score of method.predict(model, deepFreeze(rows("test")), context)) scores.push(score);
    return scores;
  };
  const train = async (folder: string) => {
    const model = new FakeModel({ evidence: (text) => text.includes("good") ? 1 : -1 });
    const checkpoint = await method.train!(
      model,
      deepFreeze({ train: rows("train"), validation: rows("validation") }),
      {
        options: resolveOptions(method, { ...options }),
        rng: createRng(1),
        batchSize: 4,
        maxSteps,
        progress: { update() {} },
        log() {},
        folder,
      },
    );
    return await predict(model, checkpoint);
  };
  Deno.test(`${method.name}: gives a score for each row, untrained`, async () => {
    // Or says that it has to be trained.
    let scores: Score[];
    try {
      scores = await predict(new FakeModel());
    } catch (error) {
      if (method.train && error instanceof UserError && error.kind === "usage") return;
      throw error;
    }
    assertEquals(scores.length, 12);
    for (const score of scores) {
      const p = probabilityOf(score);
      assert(p === null || p >= 0 && p <= 1, `got ${JSON.stringify(score)}`);
      const isPair = score !== null && typeof score !== "number" && !("logits" in score);
      assert(!isPair || score.every(Number.isFinite), `got ${score}`);
    }
  });
  if (!method.train) return;
  Deno.test(`${method.name}: after training, right answers score higher than wrong ones`, async () => {
    const scores = await withFolder(train);
    assertEquals(scores.length, 12);
    const margin = (label: number) =>
      scores.filter((_, index) => fakeRow("test", index).label === label).reduce<number>(
        (sum, score) => sum + (probabilityOf(score) ?? 0),
        0,
      );
    assert(margin(1) > margin(0), `margins ${margin(1)} and ${margin(0)}`);
  });
  Deno.test(`${method.name}: two trainings with one seed agree`, async () => {
    assertEquals(await withFolder(train), await withFolder(train));
  });
}

/** What a metric is tested with; a pair is a label and P(correct). */
export interface MetricCases {
  /** Pairs and the value they must give, to 1e-12. */
  readonly cases: readonly {
    readonly pairs: readonly (readonly [label: 0 | 1, pCorrect: number])[];
    readonly expected: number;
  }[];
  /** Pairs for which it must throw. */
  readonly undefined?: readonly (readonly (readonly [label: 0 | 1, pCorrect: number])[])[];
}

/** Declares the tests of a metric: its values, its edges, and that it leaves what it is given as it was. */
export function testMetric<O extends Options>(metric: Metric<O>, cases: MetricCases): void {
  testPlugin(metric as unknown as Plugin);
  const count = (pairs: readonly (readonly [0 | 1, number])[]) =>
    tally(pairs.map(([label, pCorrect]) => ({ label, pCorrect })));
  const compute = (pairs: readonly (readonly [0 | 1, number])[]) =>
    metric.compute(count(pairs), metric.defaults);
  for (const { pairs, expected } of cases.cases) {
    Deno.test(`${metric.name}: ${describePairs(pairs)} gives ${expected}`, () => {
      const answers = count(pairs);
      assertAlmostEquals(metric.compute(answers, metric.defaults), expected, 1e-12);
      assertEquals(answers, count(pairs), "it changed what it was given");
    });
  }
  for (const pairs of cases.undefined ?? []) {
    Deno.test(`${metric.name}: is undefined for ${describePairs(pairs)}`, () => {
      assertThrows(() => compute(pairs));
    });
  }
  Deno.test(`${metric.name}: counts confidences of exactly 0 and 1, and ties`, () => {
    const sure = Array.from({ length: 9 }, () => [1, 1] as const);
    const value = compute([...sure, [0, 1], [1, 0], [0, 0], [0, 0], [1, 0.5], [0, 0.5]]);
    assert(Number.isFinite(value), `got ${value}`);
  });
}

/** What a model family is tested with. */
export interface ModelFamilyCases {
  /** Configurations and what they must be read as. */
  readonly describes: readonly {
    readonly config: Record<string, unknown>;
    readonly expected: TransformerDescription;
  }[];
  /** Configurations that must be refused, with a word of the message. */
  readonly refuses: readonly { readonly config: Record<string, unknown>; readonly message: string }[];
}

/** Declares the tests of a model family: what it reads from a configuration, and what it refuses. */
export function testModelFamily<O extends Options>(
  family: ModelFamily<O>,
  { describes, refuses }: ModelFamilyCases,
): void {
  testPlugin(family as unknown as Plugin);
  for (const { config, expected } of describes) {
    Deno.test(`${family.name}: describes a ${config.model_type} of ${expected.layers} layers`, () => {
      assertEquals(family.describe(deepFreeze(config)), expected);
    });
  }
  for (const { config, message } of refuses) {
    Deno.test(`${family.name}: refuses ${message}`, () => {
      assertThrows(() => family.describe(config), Error, message);
    });
  }
}

/** What every plugin must pass. */
function testPlugin(plugin: Plugin): void {
  Deno.test(`${plugin.name}: can be registered, and its options survive a round trip`, () => {
    new Registry().add(plugin, "test");
    assert(plugin.description.length > 0, "it has no description");
    const options = resolveOptions(plugin, {});
    assertEquals(resolveOptions(plugin, JSON.parse(JSON.stringify(options))), options);
    assertThrows(() => resolveOptions(plugin, { "no such option": 1 }), Error, "no such option");
  });
}

/** Answers of which every second is right; the right ones hold the word "good". */
function fakeRow(split: Split, index: number): Labeled {
  const label = index % 2 as 0 | 1;
  return {
    id: `${split}/${index}`,
    split,
    prompt: "",
    context: `Question: number ${index}?`,
    targetPrompt: "\nAnswer:",
    target: `good ${index}`,
    output: label === 1 ? `good ${index}` : `bad ${index}`,
    label,
  };
}

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function describePairs(pairs: readonly (readonly [number, number])[]): string {
  return pairs.length > 6 ? `${pairs.length} pairs` : pairs.map(([label, p]) => `${label}@${p}`).join(" ");
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
