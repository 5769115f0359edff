import type { ModelFamily } from "../../core/mod.ts";
import { describeTransformer, ModelConfig, windowOf } from "./config.ts";

/** Mixtral: as Mistral, with several feed-forward layers of which each token passes through a few. */
export const mixtral: ModelFamily = {
  kind: "model",
  name: "mixtral",
  version: 2,
  description: "Mixtral 8x22B",
  defaults: {},
  modelTypes: ["mixtral"],
  aliases: {
    "mixtral:8x22b": "hf:mistralai/Mixtral-8x22B-v0.1",
    "mixtral:8x22b-instruct": "hf:mistralai/Mixtral-8x22B-Instruct-v0.1",
  },
  describe(fields) {
    const config = new ModelConfig(fields);
    config.mustBe("router_jitter_noise", 0);
    const count = config.count("num_local_experts"), perToken = config.count("num_experts_per_tok");
    if (perToken > count) throw config.refuse("num_experts_per_tok", `there are ${count} experts`);
    const window = windowOf(config, 0);
    const description = describeTransformer(config, { kvHeads: 8, normEpsilon: 1e-5, ropeTheta: 1e6 });
    config.finish();
    return {
      ...description,
      experts: { count, perToken },
      ...(window > 0 && { windows: Array(description.layers).fill(window) }),
    };
  },
};
