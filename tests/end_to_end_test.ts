/** A tiny random model through all stages, offline, by the public door alone. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  builtins,
  createRng,
  defaultMetrics,
  facts,
  fitTemperature,
  generateAnswers,
  Gpu,
  labelAnswers,
  type Labeled,
  type Labeler,
  llama,
  loadPrompts,
  loraPrompt,
  type MethodContext,
  oe,
  offline,
  OpenLabeler,
  openLanguageModel,
  type OpenModel,
  predictConfidence,
  type Prediction,
  Registry,
  renderReport,
  type Split,
  SPLITS,
  summarise,
  type Summary,
  writeRows,
} from "@credence/credence";

const ACME = fileURLToPath(new URL("./third_party/acme/mod.ts", import.meta.url));
const TOKENIZER = fileURLToPath(new URL("../assets/facts/model/", import.meta.url));

const available = await navigator.gpu?.requestAdapter() != null;
if (!available && Deno.env.get("REQUIRE_GPU") === "1") {
  throw new Error("REQUIRE_GPU=1 but there is no WebGPU adapter");
}

const ROWS = 24, STEPS = 40;

/** The smallest Llama that has everything: two layers, grouped heads, tied embeddings. */
const CONFIG = {
  model_type: "llama",
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 8,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};

/** Calls most answers right, whatever they say: what even a random model can come to know is how often that is. */
const mostlyRight: Labeler = {
  kind: "labeler",
  name: "test/mostly-right",
  version: 1,
  description: "Seven answers in eight are right",
  defaults: {},
  label: ({ question }) => createRng(1).split(question).integer(8) === 0 ? 0 : 1,
};

/** What came out at the end. */
interface Journey {
  readonly labeled: readonly Labeled[];
  readonly stored: readonly Labeled[];
  readonly before: Summary;
  readonly after: Summary;
  readonly temperature: number;
  readonly report: string;
}

/** Writes a checkpoint of random weights, with the embedded model's tokenizer. */
async function writeModel(folder: string): Promise<void> {
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(join(TOKENIZER, name), join(folder, name));
  }
  const { vocab_size } = JSON.parse(await Deno.readTextFile(join(TOKENIZER, "config.json")));
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify({ ...CONFIG, vocab_size }));
  await Deno.writeFile(join(folder, "model.safetensors"), randomWeights(vocab_size));
}

function randomWeights(vocabulary: number): Uint8Array<ArrayBuffer> {
  const { hidden_size: width, intermediate_size: inner, head_dim, num_attention_heads, num_key_value_heads } =
    CONFIG;
  const heads = head_dim * num_attention_heads, shared = head_dim * num_key_value_heads;
  const layer = {
    "input_layernorm": [width],
    "self_attn.q_proj": [heads, width],
    "self_attn.k_proj": [shared, width],
    "self_attn.v_proj": [shared, width],
    "self_attn.o_proj": [width, heads],
    "post_attention_layernorm": [width],
    "mlp.gate_proj": [inner, width],
    "mlp.up_proj": [inner, width],
    "mlp.down_proj": [width, inner],
  };
  const shapes: [string, number[]][] = [
    ["model.embed_tokens.weight", [vocabulary, width]],
    ["model.norm.weight", [width]],
    ...Array.from({ length: CONFIG.num_hidden_layers }).flatMap((_, index) =>
      Object.entries(layer).map(([name, shape]): [string, number[]] => [
        `model.layers.${index}.${name}.weight`,
        shape,
      ])
    ),
  ];
  const rng = createRng(1);
  const header: Record<string, unknown> = {}, values: number[] = [];
  for (const [name, shape] of shapes) {
    const count = shape.reduce((product, size) => product * size, 1), start = 4 * values.length;
    header[name] = { dtype: "F32", shape, data_offsets: [start, start + 4 * count] };
    for (let index = 0; index < count; index++) values.push(shape.length === 1 ? 1 : rng.random() - 0.5);
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + 4 * values.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(new Uint8Array(Float32Array.from(values).buffer), 8 + json.length);
  return file;
}

/** Answers and labels a split. */
async function answer(model: OpenModel, split: Split): Promise<Labeled[]> {
  const request = { argument: "", options: facts.defaults };
  const prompts = await loadPrompts({
    dataset: facts,
    request,
    split,
    style: oe,
    kshot: 1,
    seed: 137,
    limit: ROWS,
  });
  const options = { maxNewTokens: 4, batchSize: 8, temperature: 0, topP: 1, seed: 137 };
  const answers = await Array.fromAsync(generateAnswers(model, prompts, oe, options));
  answers.sort((a, b) => a.index - b.index);
  const labeler = OpenLabeler.of(mostlyRight, {});
  const labels = await Array.fromAsync(labelAnswers(answers.map(({ answer }) => answer), labeler));
  return labels.toSorted((a, b) => a.index - b.index).map(({ answer }) => answer);
}

async function travel(gpu: Gpu, folder: string): Promise<Journey> {
  await writeModel(folder);
  const model = await openLanguageModel(gpu, folder, [llama]);
  const registry = new Registry();
  for (const plugin of builtins) registry.add(plugin, "built-in");
  await registry.load(ACME);
  const metrics = [...defaultMetrics, "acme/sharpness"].map((name) => registry.get("metric", name).plugin);

  const labeled: Labeled[] = [];
  for (const split of SPLITS) {
    const rows = await answer(model, split);
    labeled.push(...rows);
    await writeRows(join(folder, "labels", split, "0.csv"), rows);
  }
  const request = { argument: join(folder, "labels"), options: offline.defaults };
  const read = async (split: Split) => await Array.fromAsync(offline.read!(split, request)) as Labeled[];
  const [train, validation, test] = [await read("train"), await read("validation"), await read("test")];

  const context: MethodContext<typeof loraPrompt.defaults> = {
    options: { ...loraPrompt.defaults, lr: 1e-2 },
    rng: createRng(137).split("train"),
    batchSize: 8,
    progress: { update() {} },
  };
  const checkpoint = await loraPrompt.train(model, { train, validation }, {
    ...context,
    maxSteps: STEPS,
    folder,
    log() {},
  });
  const predict = (
    rows: readonly Labeled[],
    checkpoint?: string,
    temperature?: number,
  ): Promise<Prediction[]> =>
    Array.fromAsync(
      predictConfidence(
        model,
        rows,
        loraPrompt,
        { ...context, checkpoint },
        temperature === undefined ? undefined : { kind: "temperature", temperature },
      ),
    );
  const scored = await predict(validation, checkpoint);
  const { temperature } = fitTemperature(
    scored.map(({ logits, label }) => ({ logits: logits!, label: label as 0 | 1 })),
  );
  const [untuned, tuned] = [await predict(test), await predict(test, checkpoint, temperature)];
  const [before, after] = [untuned, tuned].map((rows) => summarise(rows, metrics, createRng(137)));
  const about = { model: "random" };
  const report = await renderReport("End to end", [
    { title: "before", summary: before, predictions: untuned, about },
    { title: "after", summary: after, predictions: tuned, about },
  ]);
  model.close();
  return { labeled, stored: [...train, ...validation, ...test], before, after, temperature, report };
}

/** One journey for all tests, which look at what it left. */
let shared: Promise<Journey> | undefined;

async function once(): Promise<Journey> {
  const folder = await Deno.makeTempDir({ prefix: "credence-" });
  const gpu = await Gpu.open();
  try {
    return await travel(gpu, folder);
  } finally {
    gpu.destroy();
    await Deno.remove(folder, { recursive: true });
  }
}

function journeyTest(name: string, look: (journey: Journey) => void): void {
  Deno.test({
    name,
    ignore: !available,
    // The first test pays for all, so what it opened may be closed in another.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => look(await (shared ??= once())),
  });
}

function metric({ metrics }: Summary, name: string): number {
  const estimate = metrics[name];
  assert("value" in estimate, `${name}: ${JSON.stringify(estimate)}`);
  return estimate.value;
}

journeyTest("answers and labels come out of the CSV files as they went in", ({ labeled, stored }) => {
  const texts = (rows: readonly Labeled[]) =>
    rows.map(({ split, context, target, output, label }) => ({ split, context, target, output, label }));
  assertEquals(labeled.length, 3 * ROWS);
  assertEquals(texts(stored), texts(labeled));
});

journeyTest("training makes a random model's confidence better", ({ before, after }) => {
  assert(metric(after, "nll") < metric(before, "nll"), `${metric(before, "nll")} to ${metric(after, "nll")}`);
});

journeyTest("training changes confidence, not answers", ({ before, after }) => {
  assertEquals(metric(after, "accuracy"), metric(before, "accuracy"));
});

journeyTest("a temperature is fitted within its limits", ({ temperature }) => {
  assert(temperature > 0.01 && temperature < 100, String(temperature));
});

journeyTest("every metric, a stranger's too, is in the summary and the report", ({ after, report }) => {
  assertEquals(Object.keys(after.metrics), [...defaultMetrics, "acme/sharpness"]);
  for (const name of Object.keys(after.metrics)) assertStringIncludes(report, `<td>${name}</td>`);
});

journeyTest("the report shows both evaluations and loads nothing from elsewhere", ({ report }) => {
  assertStringIncludes(report, "<th>before</th><th>after</th>");
  assertEquals([...report.matchAll(/(?:src|href)="([^#][^"]*)"/g)].map(([, url]) => url), []);
});
