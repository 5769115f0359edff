import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { LoraOptions, TransformerDescription } from "../../core/types.ts";
import { checkTargets, LINEAR_NAMES, moduleName, planSites } from "../../model/lora_sites.ts";

const MODEL: TransformerDescription = {
  layers: 12,
  width: 40,
  heads: 6,
  kvHeads: 3,
  headDim: 8,
  feedForward: 72,
  vocabulary: 10,
  contextLength: 32,
  normEpsilon: 1e-5,
  ropeTheta: 10000,
  tiedEmbeddings: true,
};

const OPTIONS: LoraOptions = { rank: 8, alpha: 32, dropout: 0, targetModules: ["q_proj"] };

const plan = (options: Partial<LoraOptions>, model: Partial<TransformerDescription> = {}) =>
  planSites({ ...MODEL, ...model }, { ...OPTIONS, ...options }, "a test");

/** Names of the layers that options reach. */
const reached = (options: Partial<LoraOptions>, model?: Partial<TransformerDescription>) =>
  plan(options, model).map(({ layer, name }) => moduleName(layer, name));

Deno.test("planSites() takes a name for the end of a layer's name behind a dot, not for less", () => {
  assertEquals(reached({ targetModules: ["self_attn.q_proj"] }, { layers: 1 }), [
    "model.layers.0.self_attn.q_proj",
  ]);
  for (const name of ["proj", "_proj", ".q_proj", "attn.q_proj"]) {
    assertThrows(() => reached({ targetModules: [name] }), UserError, "names no layer of the model");
  }
  // 1 is no end of 11.
  assertEquals(reached({ targetModules: ["1.mlp.up_proj"] }), ["model.layers.1.mlp.up_proj"]);
});

Deno.test("planSites() takes all linear layers of the blocks for all-linear, in any case of its letters", () => {
  for (const targetModules of ["all-linear", "All-Linear"]) {
    assertEquals(plan({ targetModules }).map(({ name }) => name).slice(0, 8), [...LINEAR_NAMES, "q_proj"]);
    assertEquals(plan({ targetModules }).length, 7 * 12);
  }
});

Deno.test("planSites() takes only attention's layers of a model with experts", () => {
  const experts = { count: 4, perToken: 2 };
  assertEquals(plan({ targetModules: "all-linear" }, { experts }).length, 4 * 12);
  assertThrows(
    () => plan({ targetModules: ["up_proj"] }, { experts }),
    UserError,
    "names no layer of the model",
  );
});

Deno.test("planSites() takes a full name whatever layers are named beside it", () => {
  const targetModules = ["model.layers.5.mlp.up_proj", "v_proj"];
  const names = ["model.layers.2.self_attn.v_proj", "model.layers.5.mlp.up_proj"];
  assertEquals(reached({ targetModules, layersToTransform: [2] }), names);
});

Deno.test("planSites() counts layers in the list of the given name only", () => {
  assertEquals(reached({ layersToTransform: [1], layersPattern: ["h", "layers"] }).length, 1);
  assertThrows(() => reached({ layersToTransform: [1], layersPattern: ["h"] }), UserError, "names no layer");
});

Deno.test("planSites() takes the first pattern that matches the end of a name, each dot for any character", () => {
  const ranks = (rankPattern: Record<string, number>) =>
    plan({ rankPattern }, { layers: 3 }).map(({ rank }) => rank);
  assertEquals(ranks({ "1.self_attn.q_proj": 2, q_proj: 3 }), [3, 2, 3]);
  assertEquals(ranks({ q_proj: 3, "1.self_attn.q_proj": 2 }), [3, 3, 3]);
  assertEquals(ranks({ "1.self.attn.q.proj": 2 }), [8, 2, 8]);
  assertEquals(ranks({ proj: 2, "_attn.q_proj": 2, "model.layers": 2 }), [8, 8, 8]);
  assertEquals(ranks({ "1\\.self_attn.q_proj": 2, "self\\.attn.q_proj": 3 }), [8, 2, 8]);
  assertEquals(ranks({ "^self_attn.q_proj": 2, "^model\\.layers.0.self_attn.q_proj": 3 }), [3, 8, 8]);
  assertEquals(ranks({ "layers\\.[12].*": 2 }), [8, 2, 2]);
  assertEquals(ranks({ "^model.layers.2.self_attn.q_proj": 5, "^layers.1.*": 4 }), [8, 8, 5]);
});

Deno.test("planSites() scales by alpha / rank, with useRslora by alpha / √rank, of each layer's own", () => {
  const patterns = { rankPattern: { "1.self_attn.q_proj": 4 }, alphaPattern: { "0.self_attn.q_proj": 2 } };
  const scales = (useRslora: boolean) =>
    plan({ ...patterns, useRslora }, { layers: 3 }).map(({ scale }) => scale);
  assertEquals(scales(false), [2 / 8, 32 / 4, 32 / 8]);
  assertEquals(scales(true), [2 / Math.sqrt(8), 32 / 2, 32 / Math.sqrt(8)]);
});

Deno.test("planSites() takes a rank for each of a large model's layers by its full name in no time", () => {
  const layers = 80;
  for (const write of [(name: string) => name, (name: string) => `^${name.replaceAll(".", "\\.")}`]) {
    const rankPattern: Record<string, number> = {};
    for (let layer = 0; layer < layers; layer++) {
      for (const name of LINEAR_NAMES) rankPattern[write(moduleName(layer, name))] = layer + 1;
    }
    const sites = plan({ targetModules: "all-linear", rankPattern }, { layers });
    assertEquals(sites.every(({ layer, rank }) => rank === layer + 1), true);
  }
});

Deno.test("checkTargets() refuses a name that is no layer's, which PEFT passes over", () => {
  const targetModules = ["q_proj", "v_prj"];
  assertEquals(plan({ targetModules }).length, 12);
  assertThrows(() => checkTargets(MODEL, { ...OPTIONS, targetModules }), UserError, '"v_prj"');
  checkTargets(MODEL, { ...OPTIONS, targetModules: ["q_proj", "self_attn.v_proj"] });
  checkTargets(MODEL, { ...OPTIONS, targetModules: ".*" });
});

Deno.test("planSites() gives up on patterns that would take too long, naming the setting", () => {
  const slow = `${"(?=.*.*.*)".repeat(9000)}z`;
  const rankPattern = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`${slow}{${index}}`, 1]));
  assertThrows(
    () => plan({ targetModules: "all-linear", rankPattern }),
    UserError,
    '"rank_pattern" has the key',
  );
});
