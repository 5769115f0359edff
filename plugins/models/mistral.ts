import type { ModelFamily } from "../../core/mod.ts";
import { describeTransformer, ModelConfig } from "./config.ts";

/** Mistral: as Llama, with a sliding window over the keys in every layer, or none. */
export const mistral: ModelFamily = {
  kind: "model",
  name: "mistral",
  version: 1,
  description: "Mistral 7B",
  defaults: {},
  modelTypes: ["mistral"],
  aliases: {
    "mistral:7b": "hf:mistralai/Mistral-7B-v0.1",
    "mistral:7b-instruct": "hf:mistralai/Mistral-7B-Instruct-v0.2",
  },
  describe(fields) {
    const config = new ModelConfig(fields);
    const window = config.value("sliding_window") === undefined ? 0 : config.count("sliding_window");
    const description = describeTransformer(config);
    config.finish();
    return { ...description, ...(window > 0 && { windows: Array(description.layers).fill(window) }) };
  },
};
