import type { ModelFamily } from "../../core/mod.ts";
import { describeTransformer, ModelConfig, windowOf } from "./config.ts";

/** Mistral: as Llama, with a sliding window over the keys in every layer, or none. */
export const mistral: ModelFamily = {
  kind: "model",
  name: "mistral",
  version: 2,
  description: "Mistral 7B",
  defaults: {},
  modelTypes: ["mistral"],
  aliases: {
    "mistral:7b": "hf:mistralai/Mistral-7B-v0.1",
    "mistral:7b-instruct": "hf:mistralai/Mistral-7B-Instruct-v0.2",
  },
  describe(fields) {
    const config = new ModelConfig(fields);
    const window = windowOf(config, 4096);
    const description = describeTransformer(config, { kvHeads: 8 });
    config.finish();
    return { ...description, ...(window > 0 && { windows: Array(description.layers).fill(window) }) };
  },
};
