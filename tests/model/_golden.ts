import { Checkpoint } from "../../model/checkpoint.ts";
import { Llama } from "../../model/llama.ts";
import { allTensors, loadWeights } from "../../model/weights.ts";
import type { OptimizerOptions, TrainingExample, TransformerDescription } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { isModelFamily } from "../../core/registry.ts";
import { builtins } from "../../plugins/mod.ts";

/** What transformers and PEFT gave for one small model: see tests/golden/README.md. */
export interface Golden {
  readonly sequences: readonly {
    readonly tokens: number[];
    readonly logits: number[];
    readonly logits_adapter: number[];
    readonly hidden?: number[];
    readonly hidden_adapter?: number[];
  }[];
  readonly greedy: readonly {
    readonly prompt: number[];
    readonly continuation: number[];
    readonly continuation_adapter: number[];
  }[];
  readonly training: Readonly<Record<Divergence, GoldenTraining>>;
}

/** One small model of each family and of each scaling of rotary positions. */
export const FAMILY_CASES = [
  "llama-linear",
  "llama-dynamic",
  "llama-llama3",
  "llama-yarn",
  "llama-biases",
  "mistral-window",
  "qwen2-window",
  "mixtral",
  "mixtral-bf16",
].map((name) => `families/${name}`);

/** The kinds of divergence, each with a training of its own. */
export type Divergence = "jsd" | "forward_kl" | "reverse_kl";

interface GoldenTraining {
  readonly examples: readonly TrainingExample[];
  readonly optimizer: OptimizerOptions;
  readonly learning_rate: number;
  /** Choice loss, divergence and gradient norm of each step. */
  readonly losses: readonly [number, number, number][];
}

/** The recorded models. */
export const GOLDEN_CASES = ["mha-f32", "gqa2-bf16", "gqa4-f16"] as const;

/** Path of a file of a recorded model. */
export function goldenPath(name: string, ...parts: string[]): string {
  const folder = name.includes("/") ? name : `llama/${name}`;
  return [new URL(`../golden/${folder}`, import.meta.url).pathname, ...parts].join("/");
}

/** The recorded numbers of a model. */
export async function readGolden(name: string): Promise<Golden> {
  return JSON.parse(await Deno.readTextFile(goldenPath(name, "expected.json")));
}

/** The shape of a recorded model. */
export async function readDescription(name: string): Promise<TransformerDescription> {
  const config = JSON.parse(await Deno.readTextFile(goldenPath(name, "model", "config.json")));
  return builtins.filter(isModelFamily).find(({ modelTypes }) => modelTypes.includes(config.model_type))!
    .describe(config);
}

/** The same GPU, but for the most bytes it says it can bind. */
export function withLimit(gpu: Gpu, maxBindingBytes: number): Gpu {
  return new Proxy(gpu, {
    get(target, key) {
      if (key === "adapter") return { ...target.adapter, maxBindingBytes };
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Runs with a recorded model on the GPU, and frees it. */
export async function withGolden(
  gpu: Gpu,
  name: string,
  work: (model: Llama) => Promise<void>,
): Promise<void> {
  const folder = goldenPath(name, "model");
  const description = await readDescription(name);
  using checkpoint = await Checkpoint.open(folder);
  const weights = await loadWeights(gpu, checkpoint, description);
  const model = new Llama(gpu, description, weights);
  try {
    await work(model);
  } finally {
    model.free();
    gpu.free(...allTensors(weights));
  }
}
