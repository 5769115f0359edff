import type { ModelFamily } from "../../core/mod.ts";
import { describeTransformer, ModelConfig, windowOf } from "./config.ts";

/** Qwen2 and Qwen2.5: as Llama, with biases on queries, keys and values, and perhaps a sliding window in some layers. */
export const qwen2: ModelFamily = {
  kind: "model",
  name: "qwen2",
  version: 2,
  description: "Qwen2 and Qwen2.5",
  defaults: {},
  modelTypes: ["qwen2"],
  aliases: {
    "qwen2:7b-instruct": "hf:Qwen/Qwen2-7B-Instruct",
    "qwen2.5:0.5b": "hf:Qwen/Qwen2.5-0.5B",
    "qwen2.5:0.5b-instruct": "hf:Qwen/Qwen2.5-0.5B-Instruct",
    "qwen2.5:1.5b": "hf:Qwen/Qwen2.5-1.5B",
    "qwen2.5:1.5b-instruct": "hf:Qwen/Qwen2.5-1.5B-Instruct",
    "qwen2.5:3b": "hf:Qwen/Qwen2.5-3B",
    "qwen2.5:3b-instruct": "hf:Qwen/Qwen2.5-3B-Instruct",
    "qwen2.5:7b": "hf:Qwen/Qwen2.5-7B",
    "qwen2.5:7b-instruct": "hf:Qwen/Qwen2.5-7B-Instruct",
  },
  describe(fields) {
    const config = new ModelConfig(fields);
    const description = describeTransformer(config, { kvHeads: 32 });
    const windows = windowsOf(config, description.layers);
    config.finish();
    return { ...description, biases: ["q_proj", "k_proj", "v_proj"], ...(windows && { windows }) };
  },
};

/** The window of each layer: by `layer_types`, before transformers 5 by the number of layers that have none. */
function windowsOf(config: ModelConfig, layers: number): number[] | undefined {
  const used = config.flag("use_sliding_window", false);
  const window = windowOf(config, 4096);
  const whole = config.value("max_window_layers") ?? 28;
  const types = config.value("layer_types");
  if (!Number.isInteger(whole) || (whole as number) < 0) {
    throw config.refuse("max_window_layers", "it must be a whole number from 0");
  }
  if (types !== undefined && !isLayerTypes(types, layers)) {
    throw config.refuse(
      "layer_types",
      `it must name full_attention or sliding_attention for each of ${layers} layers`,
    );
  }
  if (!used || window === 0) {
    if ((types as readonly string[] | undefined)?.includes("sliding_attention")) {
      throw config.refuse("layer_types", "a layer slides, but use_sliding_window or sliding_window is off");
    }
    return undefined;
  }
  return Array.from({ length: layers }, (_, layer) => {
    const slides = types
      ? (types as readonly string[])[layer] === "sliding_attention"
      : layer >= (whole as number);
    return slides ? window : 0;
  });
}

function isLayerTypes(value: unknown, layers: number): boolean {
  return Array.isArray(value) && value.length === layers &&
    value.every((type) => type === "full_attention" || type === "sliding_attention");
}
