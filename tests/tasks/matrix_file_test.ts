import { assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { loraPrompt } from "@credence/credence";
import { UserError } from "../../core/mod.ts";
import { readMatrixFile } from "../../tasks/_matrix_file.ts";
import { fingerprint, planMatrix } from "../../tasks/_matrix_plan.ts";
import { Session } from "../../tasks/_session.ts";
import { ROOT, withFolder } from "./_cli.ts";

/** A file without a mistake, to be changed. */
const SOUND = {
  name: "trial",
  models: { facts: { "model-name": "facts" } },
  methods: { "lora-prompt": { train: { "max-steps": 2 } } },
  grids: [{ title: "All", method: "lora-prompt", model: "facts", dataset: "facts", "train-style": "oe" }],
};

const session = new Session("test");

type Parts = Readonly<Record<string, unknown>>;

const withGrid = (grid: Parts) => ({ ...SOUND, grids: [{ ...SOUND.grids[0], ...grid }] });
const withTrain = (train: unknown) => ({ ...SOUND, methods: { "lora-prompt": { train } } });
const withMethod = (name: string, method: unknown) => ({
  ...SOUND,
  methods: { ...SOUND.methods, [name]: method },
});
const withDataset = (quiz: Parts) => ({ ...withGrid({ dataset: "quiz" }), datasets: { quiz } });

async function read(contents: unknown) {
  let file: Awaited<ReturnType<typeof readMatrixFile>> | undefined;
  await withFolder(async (folder) => {
    const path = join(folder, "matrix.json");
    await Deno.writeTextFile(path, typeof contents === "string" ? contents : JSON.stringify(contents));
    file = await readMatrixFile(new Session("test"), path);
  });
  return file!;
}

Deno.test("a matrix file may name a labeler with what stands behind its colon, and its options", async () => {
  const { answers } = await read({
    ...SOUND,
    answers: { strategy: "fuzzy_judge", concurrency: 5, kshot: 1 },
  });
  assertEquals(answers, {
    outputs: { kshot: 1 },
    labels: { strategy: "fuzzy_judge" },
    labelerOptions: { concurrency: 5 },
  });
  const error = await assertRejects(
    () => read({ ...SOUND, answers: { strategy: "substring", concurrency: 5 } }),
    UserError,
  );
  assertStringIncludes(error.what, "concurrency");
});

Deno.test("a matrix file names datasets with options, and models behind an API with theirs", async () => {
  const file = await read({
    ...withGrid({ "dataset": "quiz", "eval-dataset": ["same", "facts"], "train-answers": "remote" }),
    datasets: { quiz: { dataset: "csv:quiz.csv", fields: "question=q,answer=a" } },
    models: { ...SOUND.models, remote: { "model-name": "openai:gpt-4o-mini", concurrency: 3 } },
  });
  assertEquals(file.datasets, {
    quiz: { dataset: "csv:quiz.csv", options: { fields: "question=q,answer=a" } },
  });
  assertEquals(file.models.remote.options, { concurrency: 3 });
  const { stages } = await planMatrix(session, file);
  assertEquals(stages[0].path, join("answers", "facts", "quiz", "oe"));
  const fields = { quiz: { dataset: "csv:quiz.csv", options: { fields: "question=other" } } };
  assertNotEquals(
    fingerprint(session, file, stages[0]),
    fingerprint(session, { ...file, datasets: fields }, stages[0]),
  );
});

Deno.test("a matrix file may leave out what has a default", async () => {
  const { metrics, peers, grids, answers, models, datasets } = await read(SOUND);
  assertEquals({ metrics, peers, answers, models, datasets }, {
    metrics: ["accuracy", "auroc", "ece", "brier"],
    peers: [],
    datasets: {},
    answers: { outputs: {}, labels: {}, labelerOptions: {} },
    models: { facts: { "model-name": "facts", "dtype": "auto" } },
  });
  assertEquals(grids[0].axes, {
    "method": ["lora-prompt"],
    "model": ["facts"],
    "dataset": ["facts"],
    "eval-dataset": ["same"],
    "train-style": ["oe"],
    "eval-style": ["same"],
    "train-answers": ["same"],
    "eval-answers": ["same"],
    "fraction": [1],
    "seed": [137],
  });
});

Deno.test("a model behind an API may answer, but not judge", async () => {
  const models = { ...SOUND.models, remote: { "model-name": "openai:gpt-4o-mini" } };
  const answering = {
    ...withGrid({ "train-answers": "remote", "eval-answers": ["same", "remote"] }),
    models,
  };
  const { grids } = await read(answering);
  assertEquals(grids[0].axes["train-answers"], ["remote"]);
  const error = await assertRejects(
    () => read({ ...withGrid({ model: ["facts", "remote"] }), models }),
    UserError,
  );
  assertStringIncludes(error.message, "grids[0].model[1]");
  assertStringIncludes(error.message, "name it in train-answers or eval-answers");
});

Deno.test("a method's settings are the flags of its task, its own options among them", async () => {
  const train = { "max-steps": 3, "lr": 0.01, "target-modules": ["q_proj", "k_proj"], "scale-temp": true };
  const { methods } = await read(withTrain(train));
  assertEquals(methods["lora-prompt"].train, {
    flags: { "max-steps": 3, "scale-temp": true },
    options: { lr: 0.01, targetModules: "q_proj,k_proj" },
  });
});

Deno.test("a method with train false is evaluated untrained, under any name", async () => {
  const { methods } = await read({
    ...SOUND,
    methods: { ...SOUND.methods, untuned: { method: "lora-prompt", train: false } },
  });
  assertEquals(methods.untuned, { plugin: "lora-prompt", evaluate: { flags: {}, options: {} } });
});

Deno.test("a method that does not train takes its own options where it is evaluated", async () => {
  const { methods } = await read({
    ...SOUND,
    methods: { ...SOUND.methods, logits: { evaluate: { confidence: "entropy", "batch-size": 8 } } },
  });
  const evaluate = { flags: { "batch-size": 8 }, options: { confidence: "entropy" } };
  assertEquals(methods.logits, { plugin: "logits", evaluate });
});

Deno.test("a method that does not train is calibrated, with the options that it is evaluated with", async () => {
  const evaluate = { confidence: "entropy", chat: "off" };
  const logits = { train: { "scale-temp": true, calibrator: "beta" }, evaluate };
  const { methods } = await read({ ...SOUND, methods: { ...SOUND.methods, logits } });
  const options = { confidence: "entropy" };
  assertEquals(methods.logits, {
    plugin: "logits",
    train: { flags: { "scale-temp": true, "calibrator": "beta", "chat": "off" }, options },
    evaluate: { flags: { chat: "off" }, options },
  });
});

const NEAREST = /^did you mean "([^"]+)"\?/;

for (
  const { contents, place, what, near } of [
    { contents: { ...SOUND, grid: [] }, place: "grid", what: 'Unknown key "grid"', near: "grids" },
    { contents: withGrid({ "train-stile": "oe" }), place: "grids[0].train-stile", near: "train-style" },
    {
      contents: withGrid({ "train-style": ["oe", "chioce"] }),
      place: "grids[0].train-style[1]",
      near: "choice",
    },
    { contents: withGrid({ method: "lora-promt" }), place: "grids[0].method", near: "lora-prompt" },
    { contents: withGrid({ model: "fact" }), place: "grids[0].model", near: "facts" },
    {
      contents: withGrid({ dataset: "fatcs" }),
      place: "grids[0].dataset",
      what: "Unknown dataset",
      near: "facts",
    },
    { contents: withGrid({ "eval-answers": "smae" }), place: "grids[0].eval-answers", near: "same" },
    {
      contents: withTrain({ "max-step": 2 }),
      place: "methods.lora-prompt.train.max-step",
      near: "max-steps",
    },
    { contents: withTrain({ "kl-deacy": 2 }), place: "methods.lora-prompt.train.kl-deacy", near: "kl-decay" },
    {
      contents: { ...SOUND, methods: { "lora-promt": {} } },
      place: "methods.lora-promt",
      what: 'Unknown method "lora-promt"',
      near: "lora-prompt",
    },
    {
      contents: { ...SOUND, models: { facts: { "model-name": "fcats" } } },
      place: "models.facts.model-name",
      near: "facts",
    },
    { contents: { ...SOUND, metrics: ["eec"] }, place: "metrics[0]", near: "ece" },
    {
      contents: withDataset({ dataset: "csv:quiz.csv", feilds: "question=q" }),
      place: "datasets.quiz.feilds",
      near: "fields",
    },
    {
      contents: { ...withDataset({ dataset: "csv:quiz.csv" }), ...withGrid({ dataset: "quizz" }) },
      place: "grids[0].dataset",
      near: "quiz",
    },
    {
      contents: withTrain({ "scale-temp": true, "calibrator": "plat" }),
      place: "methods.lora-prompt.train.calibrator",
      near: "platt",
    },
    {
      contents: withMethod("lora-prompt", {
        train: { "scale-temp": true },
        evaluate: { "scale-temp": "qurey" },
      }),
      place: "methods.lora-prompt.evaluate.scale-temp",
      near: "query",
    },
    {
      contents: withMethod("lora-prompt", { evaluate: { "splits": "tset" } }),
      place: "methods.lora-prompt.evaluate.splits",
      near: "test",
    },
    {
      contents: { ...SOUND, models: { facts: { "model-name": "facts", "dtype": "int44" } } },
      place: "models.facts.dtype",
      near: "int4",
    },
    {
      contents: { ...SOUND, answers: { strategy: "substrin" } },
      place: "answers.strategy",
      near: "substring",
    },
  ]
) {
  Deno.test(`a matrix file with a wrong name at ${place} is refused with the nearest, ${near}`, async () => {
    const error = await assertRejects(() => read(contents), UserError);
    assertStringIncludes(error.what, what ?? "Unknown");
    assertEquals(error.where.endsWith(`matrix.json: ${place}`), true, error.where);
    assertEquals(NEAREST.exec(error.fix)?.[1], near, error.fix);
    assertEquals(error.exitCode, 2);
  });
}

for (
  const { contents, place, fix } of [
    { contents: { ...SOUND, name: undefined }, place: "the whole file", fix: 'add "name"' },
    {
      contents: { ...SOUND, models: { same: SOUND.models.facts } },
      place: "models.same",
      fix: "another name",
    },
    { contents: { ...SOUND, name: "a/b" }, place: "name", fix: "letters" },
    { contents: { ...SOUND, grids: [] }, place: "grids", fix: "at least one entry" },
    { contents: { ...SOUND, methods: [] }, place: "methods", fix: "an object in braces" },
    { contents: withGrid({ "train-style": undefined }), place: "grids[0]", fix: 'add "train-style"' },
    { contents: withGrid({ "train-style": "same" }), place: "grids[0].train-style", fix: "name the styles" },
    { contents: withGrid({ "fraction": [1, 10] }), place: "grids[0].fraction[1]", fix: "above 0, at most 1" },
    { contents: withGrid({ "seed": -1 }), place: "grids[0].seed", fix: "a whole number from 0" },
    { contents: withGrid({ "dataset": "eval:mmlu" }), place: "grids[0].dataset", fix: "one of its members" },
    { contents: withGrid({ "dataset": "facts:1" }), place: "grids[0].dataset", fix: 'use "facts"' },
    {
      contents: withTrain({ "max-steps": "300" }),
      place: "methods.lora-prompt.train.max-steps",
      fix: "from 1",
    },
    {
      contents: withTrain({ "max-steps": 0.5 }),
      place: "methods.lora-prompt.train.max-steps",
      fix: "from 1",
    },
    { contents: withTrain({ "lr": -1 }), place: "methods.lora-prompt.train", fix: "a number above 0" },
    {
      contents: withMethod("far", { method: "probe", train: { position: "nowhere" } }),
      place: "methods.far.train",
      fix: "one of answer, answer-mean",
    },
    {
      contents: { ...SOUND, answers: { strategy: "fuzzy_judge", concurrency: 0 } },
      place: "answers",
      fix: "a whole number from 1",
    },
    { contents: { ...SOUND, answers: { chat: "maybe" } }, place: "answers.chat", fix: "auto, on, off" },
    {
      contents: withTrain({ "calibrator": "platt" }),
      place: "methods.lora-prompt.train.calibrator",
      fix: "--scale-temp as well",
    },
    {
      contents: withMethod("lora-prompt", { evaluate: { "scale-temp": "query" } }),
      place: "methods.lora-prompt.evaluate.scale-temp",
      fix: 'say "scale-temp": true in "train"',
    },
    {
      contents: withMethod("lora-prompt", {
        train: { "scale-temp": true },
        evaluate: { "scale-temp": "probe" },
      }),
      place: "methods.lora-prompt.evaluate.scale-temp",
      fix: "--scale-temp=query",
    },
    {
      contents: withMethod("logits", { train: { "scale-temp": true, "max-steps": 3 } }),
      place: "methods.logits.train.max-steps",
      fix: "use one of",
    },
    {
      contents: withMethod("logits", { evaluate: { mode: "us_oe" } }),
      place: "methods.logits.evaluate.mode",
      fix: "use one of",
    },
    { contents: withTrain({ "lr": "fast" }), place: "methods.lora-prompt.train.lr", fix: "give a number" },
    { contents: withTrain({ "seed": 1 }), place: "methods.lora-prompt.train.seed", fix: "use one of" },
    { contents: "[1", place: "matrix.json", fix: "repair" },
    { contents: "null", place: "the whole file", fix: "an object in braces" },
  ]
) {
  Deno.test(`a matrix file that is wrong at ${place} is told what to do: ${fix}`, async () => {
    const error = await assertRejects(() => read(contents), UserError);
    assertEquals(error.where.endsWith(place), true, error.where);
    assertStringIncludes(error.fix, fix);
  });
}

Deno.test("the repository's own matrix holds every method, each with the grids that its figures need", async () => {
  const file = await readMatrixFile(session, join(ROOT, "assets", "facts", "matrix.json"));
  const used = new Set(Object.values(file.methods).map(({ plugin }) => plugin));
  const all = session.registry.list("method").map(({ plugin }) => plugin.name);
  assertEquals(all.filter((name) => !used.has(name)), []);
  const { method } = file.grids[0].axes;
  assertEquals(Object.keys(file.methods).filter((name) => !method.includes(name)), []);
});

Deno.test("the example of docs/matrix.md is a file without a mistake", async () => {
  const guide = await Deno.readTextFile(join(ROOT, "docs", "matrix.md"));
  const { grids } = await read(/```json\n(.+?)```/s.exec(guide)![1]);
  assertEquals(grids.map(({ title }) => title), ["Methods", "Data"]);
});

Deno.test("a plan answers once for all who judge the answers, and trains once for all who use the adapter", async () => {
  const styles = ["oe", "choice"];
  const file = await read(withGrid({ "train-style": styles, "eval-style": styles }));
  const { stages } = await planMatrix(session, file);
  assertEquals(stages.map(({ kind }) => kind).sort(), [
    ...Array(2).fill("answers"),
    ...Array(4).fill("evaluate"),
    ...Array(2).fill("train"),
  ]);
});

Deno.test("a plan asks for no split that nobody reads", async () => {
  const { stages } = await planMatrix(
    session,
    await read({ ...SOUND, methods: { "lora-prompt": { train: false } } }),
  );
  assertEquals(stages.map((stage) => stage.kind === "answers" ? stage.splits : stage.kind), [
    ["test"],
    "evaluate",
  ]);
});

Deno.test("a plan works through one model after the other, so that one at a time is open", async () => {
  const names = ["a", "b"];
  const models = Object.fromEntries(names.map((name) => [name, { "model-name": "facts" }]));
  const grid = { ...SOUND.grids[0], "model": names, "eval-answers": names };
  const { stages } = await planMatrix(session, await read({ ...SOUND, models, grids: [grid] }));
  const order = stages.map((stage) =>
    stage.kind === "answers" ? stage.of.answers : "model" in stage ? stage.model : ""
  );
  assertEquals(order, ["a", "b", "a", "a", "a", "b", "b", "b"]);
});

Deno.test("a plan evaluates every member of a collection, and trains once for all", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(join(folder, "test"));
    for (const subject of ["anatomy", "virology"]) {
      await Deno.writeTextFile(join(folder, "test", `${subject}_test.csv`), "");
    }
    const file = await read(withGrid({ "eval-dataset": ["same", "eval:mmlu"] }));
    const { stages, grids } = await planMatrix(session, file, folder);
    assertEquals(grids[0].cells.map(({ cell, collection }) => [cell.evaluation.dataset, collection]), [
      ["facts", undefined],
      ["mmlu:anatomy", "eval:mmlu"],
      ["mmlu:virology", "eval:mmlu"],
    ]);
    assertEquals(stages.filter(({ kind }) => kind === "train").length, 1);
    assertEquals(stages.filter(({ kind }) => kind === "evaluate").length, 3);
  }));

Deno.test("a name that would lead out of the run folder does not", async () => {
  const models = { "..": { "model-name": "facts" } };
  const { stages } = await planMatrix(
    session,
    await read({ ...SOUND, models, grids: [{ ...SOUND.grids[0], model: ".." }] }),
  );
  assertEquals(stages.filter(({ path }) => path.split(/[/\\]/).includes("..")), []);
  assertEquals(stages[0].path, join("answers", "_", "facts", "oe"));
});

Deno.test("two models whose names would share a folder are refused", async () => {
  const models = { "a/b": { "model-name": "facts" }, "a:b": { "model-name": "facts" } };
  const file = await read({ ...SOUND, models, grids: [{ ...SOUND.grids[0], model: ["a/b", "a:b"] }] });
  const error = await assertRejects(() => planMatrix(session, file), UserError);
  assertStringIncludes(error.what, "would share the folder a_b");
});

Deno.test("the repository's matrix trains what it compares with the research code by the recipes recorded there", async () => {
  const folder = join(ROOT, "assets", "facts");
  const { methods } = await readMatrixFile(new Session("test"), join(folder, "matrix.json"));
  const { recipes } = JSON.parse(await Deno.readTextFile(join(folder, "research_code.json")));
  const ours = Object.keys(recipes).map((name) => {
    const { flags, options } = methods[name].train!;
    const { "batch-size": batch_size, "max-steps": max_steps, ...rest } = flags;
    assertEquals([methods[name].plugin, rest], [name, { "scale-temp": true }]);
    return [name, { batch_size, max_steps, ...options }];
  });
  // The weight of the divergence is the default.
  const { "lora-prompt": { kl_decay, ...prompt }, ...others } = recipes;
  assertEquals(kl_decay, loraPrompt.defaults.klDecay);
  assertEquals(Object.fromEntries(ours), { "lora-prompt": prompt, ...others });
});
