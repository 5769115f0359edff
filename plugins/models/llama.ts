import type { ModelFamily } from "../../core/mod.ts";
import { describeTransformer, ModelConfig } from "./config.ts";

/** Llama 2 and 3, and what is built like them, such as SmolLM2. */
export const llama: ModelFamily = {
  kind: "model",
  name: "llama",
  version: 2,
  description: "Llama 2 and 3, SmolLM2, and the embedded model `facts`",
  defaults: {},
  modelTypes: ["llama"],
  aliases: {
    "facts": new URL("../../assets/facts/model/", import.meta.url),
    "llama2:7b": "hf:meta-llama/Llama-2-7b-hf",
    "llama2:7b-chat": "hf:meta-llama/Llama-2-7b-chat-hf",
    "llama2:13b": "hf:meta-llama/Llama-2-13b-hf",
    "llama2:13b-chat": "hf:meta-llama/Llama-2-13b-chat-hf",
    "llama2:70b": "hf:meta-llama/Llama-2-70b-hf",
    "llama2:70b-chat": "hf:meta-llama/Llama-2-70b-chat-hf",
    "llama3:8b": "hf:meta-llama/Meta-Llama-3-8B",
    "llama3:8b-instruct": "hf:meta-llama/Meta-Llama-3-8B-Instruct",
    "llama3:70b": "hf:meta-llama/Meta-Llama-3-70B",
    "llama3:70b-instruct": "hf:meta-llama/Meta-Llama-3-70B-Instruct",
    "llama3.2:1b": "hf:meta-llama/Llama-3.2-1B",
    "llama3.2:1b-instruct": "hf:meta-llama/Llama-3.2-1B-Instruct",
    "llama3.2:3b": "hf:meta-llama/Llama-3.2-3B",
    "llama3.2:3b-instruct": "hf:meta-llama/Llama-3.2-3B-Instruct",
    "smollm2:135m": "hf:HuggingFaceTB/SmolLM2-135M",
    "smollm2:135m-instruct": "hf:HuggingFaceTB/SmolLM2-135M-Instruct",
    "smollm2:360m": "hf:HuggingFaceTB/SmolLM2-360M",
    "smollm2:360m-instruct": "hf:HuggingFaceTB/SmolLM2-360M-Instruct",
    "smollm2:1.7b": "hf:HuggingFaceTB/SmolLM2-1.7B",
    "smollm2:1.7b-instruct": "hf:HuggingFaceTB/SmolLM2-1.7B-Instruct",
  },
  describe(fields) {
    const config = new ModelConfig(fields);
    config.mustBe("rope_interleaved", false);
    const attention = config.flag("attention_bias", false)
      ? ["q_proj", "k_proj", "v_proj", "o_proj"] as const
      : [];
    const mlp = config.flag("mlp_bias", false) ? ["gate_proj", "up_proj", "down_proj"] as const : [];
    const biases = [...attention, ...mlp];
    const description = describeTransformer(config);
    config.finish();
    return { ...description, ...(biases.length > 0 && { biases }) };
  },
};
